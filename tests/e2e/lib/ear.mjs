// What a program plays into a sink of the sound server, listened to as it comes.

import { execFile, spawn } from 'node:child_process';
import { promisify } from 'node:util';
import { goertzel } from '../pages/goertzel.mjs';
import { until } from './proc.mjs';

const run = promisify(execFile);

/** Samples in a second. */
const RATE = 8000;

/** Samples that a measurement looks at. */
const WINDOW = 2400;

export class Ear {
  /** Makes a sink of this name and listens to it. */
  static async open(name) {
    const ear = new Ear();
    const { stdout } = await until('the sound server takes a sink', () =>
      run('pactl', ['load-module', 'module-null-sink', `sink_name=${name}`, `rate=${RATE}`, 'channels=1']).catch(() => null),
    );
    ear.module = stdout.trim();
    ear.octets = Buffer.alloc(0);
    const format = ['--raw', `--rate=${RATE}`, '--channels=1', '--format=s16le', '--latency-msec=40'];
    ear.recorder = spawn('parec', ['-d', `${name}.monitor`, ...format], { stdio: ['ignore', 'pipe', 'ignore'] });
    ear.recorder.stdout.on('data', (data) => {
      ear.octets = Buffer.concat([ear.octets, data]);
      // A sample has two octets, and a piece may end between them.
      const surplus = ear.octets.length - 2 * WINDOW;
      if (surplus > 1) ear.octets = ear.octets.subarray(surplus - (surplus % 2));
    });
    return ear;
  }

  /** How loud each frequency is right now, from 0 to 1. */
  levels(frequencies) {
    const count = Math.floor(this.octets.length / 2);
    if (count < WINDOW) return frequencies.map(() => 0);
    const samples = Float64Array.from({ length: count }, (_, index) => this.octets.readInt16LE(2 * index) / 32768);
    return frequencies.map((frequency) => goertzel(samples, RATE, frequency));
  }

  async close() {
    this.recorder.kill();
    await run('pactl', ['unload-module', this.module]).catch(() => {});
  }
}
