// What the page's own sounds are made of. Pure; sound.js plays them.

/** Signals as cadences: frequencies in Hz, loudness 0 to 1, then seconds of tone and silence in turn, repeated. */
export const SIGNALS = Object.freeze({
  ring: { frequencies: [440, 554], gain: 0.16, cadence: [0.4, 0.2, 0.4, 2] },
  ringback: { frequencies: [425], gain: 0.06, cadence: [1, 4] },
});

/** The two frequencies of a touch tone in Hz (ITU-T Q.23), or null. */
export function touchTone(key) {
  const index = '123A456B789C*0#D'.indexOf(key);
  if (index < 0 || key.length !== 1) return null;
  return [[697, 770, 852, 941][index >> 2], [1209, 1336, 1477, 1633][index & 3]];
}

/** One period of a cadence in seconds. */
export function period({ cadence }) {
  return cadence.reduce((sum, part) => sum + part, 0);
}

/** The tones of one period: [{ start, end }] in seconds from its begin. */
export function bursts({ cadence }) {
  let at = 0;
  return cadence.flatMap((part, index) => {
    const start = at;
    at += part;
    return index % 2 === 0 ? [{ start, end: at }] : [];
  });
}
