// The page's own sounds and the AudioContext that they and the level meters share.

import { SIGNALS, bursts, period, touchTone } from './tones.js';

/** Rise and fall of every tone, so that it does not click, in seconds. */
const EDGE_S = 0.01;

export class Sound {
  #context = null;
  #running = null;
  #playing = null; // { name, timer, nodes: [silence()] }

  /**
   * The AudioContext once it runs. Some browsers start it only after a key press or click, and one without an audio
   * system never does: then this promise stays open.
   */
  context() {
    this.#running ??= new Promise((resolve) => {
      try {
        this.#context = new AudioContext();
      } catch {
        return;
      }
      const look = () => this.#context.state === 'running' && resolve(this.#context);
      this.#context.addEventListener('statechange', look);
      look();
    });
    this.wake();
    return this.#running;
  }

  /** To be called at every key press or click, which may be what the browser waits for. */
  wake() {
    if (this.#context?.state === 'suspended') this.#context.resume().catch(() => {});
  }

  /** Starts a repeating signal: ring | ringback. */
  async play(name) {
    if (this.#playing?.name === name) return;
    this.stop();
    const playing = { name, timer: null, nodes: [] };
    this.#playing = playing;
    const context = await this.context();
    if (this.#playing !== playing) return;
    const signal = SIGNALS[name];
    const round = () => {
      playing.nodes = bursts(signal).map(({ start, end }) =>
        tone(context, signal.frequencies, signal.gain, context.currentTime + start, context.currentTime + end),
      );
      playing.timer = setTimeout(round, period(signal) * 1000);
    };
    round();
  }

  /** Ends the signal at once. */
  stop() {
    clearTimeout(this.#playing?.timer);
    this.#playing?.nodes.forEach((silence) => silence());
    this.#playing = null;
  }

  /** The short sound of a key, unless the audio system is still starting: a late sound would mislead. */
  key(key) {
    const frequencies = touchTone(key);
    this.context();
    const context = this.#context;
    if (frequencies && context?.state === 'running')
      tone(context, frequencies, 0.05, context.currentTime, context.currentTime + 0.12);
  }
}

/** Plays sine waves from `start` to `end`; returns what silences them early. */
function tone(context, frequencies, loudness, start, end) {
  const gain = context.createGain();
  gain.gain.setValueAtTime(0, start);
  gain.gain.linearRampToValueAtTime(loudness / frequencies.length, start + EDGE_S);
  gain.gain.setValueAtTime(loudness / frequencies.length, end - EDGE_S);
  gain.gain.linearRampToValueAtTime(0, end);
  gain.connect(context.destination);
  for (const frequency of frequencies) {
    const oscillator = context.createOscillator();
    oscillator.frequency.value = frequency;
    oscillator.connect(gain);
    oscillator.start(start);
    oscillator.stop(end);
  }
  return () => gain.disconnect();
}
