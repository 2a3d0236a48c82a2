// `viaduct demo`, as a user starts it.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Program, until } from './proc.mjs';
import { ADDRESS, BIN, Observed, TIMERS, ports } from './viaduct.mjs';

export class Demo extends Observed {
  static async start() {
    const demo = new Demo();
    demo.folder = mkdtempSync(path.join(tmpdir(), 'viaduct-demo-'));
    demo.state = path.join(demo.folder, 'state');
    demo.ports = ports();
    const { http, https, sip, sips, media, first, last } = demo.ports;
    const args = ['demo', '--address', ADDRESS, '--http', http, '--https', https, '--sip', sip, '--sips', sips];
    args.push('--browser-port', media, '--rtp-ports', `${first}-${last}`, '--state', demo.state);
    // As in every gateway of the tests: transactions die of old age in seconds.
    args.push('--timers', TIMERS);
    demo.program = new Program('viaduct demo', path.join(BIN, 'viaduct'), args.map(String));
    await demo.program.said('Press Ctrl-C to stop');
    demo.socket = path.join(demo.state, 'control.sock');
    await demo.mark();
    return demo;
  }

  get url() {
    return `http://localhost:${this.ports.http}/`;
  }

  get sip() {
    return `${ADDRESS}:${this.ports.sip}`;
  }

  password(user) {
    return JSON.parse(readFileSync(path.join(this.state, 'demo-passwords.json')))[user];
  }

  /** Waits for a line on the demo's screen. */
  said(pattern) {
    return until(() => `the demo did not say ${pattern}:\n${this.program.tail()}`, () => pattern.test(this.program.output));
  }

  async stop() {
    const ended = await this.program.stop();
    assert.deepEqual(ended, { code: 0, signal: null }, `the demo ended badly:\n${this.program.tail()}`);
    rmSync(this.folder, { recursive: true, force: true });
  }
}
