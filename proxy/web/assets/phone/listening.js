// Listens to one call: packet counts and levels from getStats, and finer levels from analysers where they run.

import { sample } from './stats.js';

/** How often the counters are read, in milliseconds. */
const SAMPLE_MS = 250;
/** How often the level meters move, in milliseconds. */
const METER_MS = 80;

export class Listening {
  #connection;
  #hooks;
  #timers = [];
  #meters = { own: null, far: null };
  #loudest = { own: null, far: null };
  #busy = false;
  #over = false;

  /**
   * `hooks`: sampled(sample, heard): at that pace, with the loudest levels since; levels({ own, far }): for
   * the meters, a level is null where no analyser runs.
   */
  constructor(connection, hooks) {
    this.#connection = connection;
    this.#hooks = hooks;
    this.#timers = [setInterval(() => this.sampleNow(), SAMPLE_MS), setInterval(() => this.#readMeters(), METER_MS)];
  }

  /**
   * Listens to `stream` as the own (`own`) or the far side (`far`), as soon as the promised `context` runs; until
   * then, or for ever, getStats has to do.
   */
  async attach(side, stream, context) {
    const running = await context;
    if (this.#over || stream.getAudioTracks().length === 0) return;
    this.#meters[side]?.disconnect();
    this.#meters[side] = meterOf(running, stream);
  }

  async sampleNow() {
    if (this.#busy || this.#over) return;
    this.#busy = true;
    try {
      const next = sample(await this.#connection.getStats());
      if (this.#over) return;
      this.#hooks.sampled(next, this.#loudest);
      this.#loudest = { own: null, far: null };
    } catch {
      // The connection was closed in between; its owner stops this soon.
    } finally {
      this.#busy = false;
    }
  }

  stop() {
    this.#over = true;
    this.#timers.forEach(clearInterval);
    Object.values(this.#meters).forEach((meter) => meter?.disconnect());
  }

  #readMeters() {
    const levels = { own: this.#meters.own?.level() ?? null, far: this.#meters.far?.level() ?? null };
    for (const side of ['own', 'far']) {
      if (levels[side] !== null) this.#loudest[side] = Math.max(this.#loudest[side] ?? 0, levels[side]);
    }
    this.#hooks.levels(levels);
  }
}

function meterOf(context, stream) {
  const source = context.createMediaStreamSource(stream);
  const analyser = context.createAnalyser();
  analyser.fftSize = 2048;
  source.connect(analyser);
  const wave = new Float32Array(analyser.fftSize);
  return {
    level() {
      analyser.getFloatTimeDomainData(wave);
      return Math.sqrt(wave.reduce((sum, value) => sum + value * value, 0) / wave.length);
    },
    disconnect() {
      source.disconnect();
    },
  };
}
