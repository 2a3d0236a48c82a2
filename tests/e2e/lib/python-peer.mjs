// A WebRTC peer in Python: aiortc, or GStreamer's webrtcbin. See ../peers.

import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import { Program, until } from './proc.mjs';

const FOLDER = fileURLToPath(new URL('../peers', import.meta.url));
const PYTHON = fileURLToPath(new URL('../.venv/bin/python', import.meta.url));

export class PythonPeer {
  /** Starts a script; `role` is offer or answer. It listens for its own tone and for `others`. */
  static start(script, role, frequency, others) {
    const peer = new PythonPeer();
    peer.name = script;
    peer.tones = [frequency, ...others];
    const args = [path.join(FOLDER, `${script}.py`), role, `${frequency}`, ...peer.tones.map(String)];
    peer.program = new Program(script, PYTHON, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    peer.levels = [];
    createInterface({ input: peer.program.child.stdout }).on('line', (line) => {
      if (!line.startsWith('{')) return;
      const told = JSON.parse(line);
      if (told.sdp) peer.sdp = told.sdp;
      if (told.levels) peer.levels = told.levels;
    });
    return peer;
  }

  /** Its SDP, with all its candidates. */
  describe() {
    return until(
      () => `${this.name} has no SDP:\n${this.program.tail()}`,
      () => this.sdp,
    );
  }

  read(sdp) {
    this.program.child.stdin.write(`${JSON.stringify({ sdp })}\n`);
  }

  /** Waits until this tone is heard, and none of the others. */
  async hears(frequency, others = []) {
    const level = (tone) => this.levels[this.tones.indexOf(tone)] ?? 0;
    await until(
      () => `${this.name} does not hear ${frequency} Hz alone: ${this.levels} of ${this.tones}\n${this.program.tail()}`,
      () => level(frequency) > 0.05 && others.every((other) => level(other) < level(frequency) / 10),
    );
  }

  async close() {
    await this.program.stop('SIGKILL');
  }
}
