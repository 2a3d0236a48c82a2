// Programs that a test starts, and facts that it waits for.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';

/** Waits until `fact` gives something true, and gives that. Fails with what was seen last. */
export async function until(what, fact, seconds = 15) {
  const end = Date.now() + seconds * 1000;
  let last;
  for (;;) {
    last = await fact();
    if (last) return last;
    if (Date.now() > end) throw new Error(`waited ${seconds} s in vain: ${typeof what === 'function' ? what(last) : what}`);
    await pause(25);
  }
}

/** A child process whose output is kept. */
export class Program {
  constructor(name, command, args, options = {}) {
    this.name = name;
    this.output = '';
    this.child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    this.child.stdout.on('data', (data) => (this.output += data));
    this.child.stderr.on('data', (data) => (this.output += data));
    this.child.on('error', (error) => (this.output += `\n${error}`));
    this.exited = once(this.child, 'exit').then(([code, signal]) => ({ code, signal }));
  }

  get isRunning() {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** Waits until the output has this text. */
  async said(text, seconds = 20) {
    await until(
      () => `${this.name} did not say ${text}:\n${this.tail()}`,
      () => {
        if (this.output.includes(text)) return true;
        if (!this.isRunning) throw new Error(`${this.name} ended before it said ${text}:\n${this.tail()}`);
        return false;
      },
      seconds,
    );
  }

  tail(length = 3000) {
    return this.output.slice(-length);
  }

  /** Ends it, and gives its exit code or signal. */
  async stop(signal = 'SIGINT', seconds = 8) {
    if (this.isRunning) this.child.kill(signal);
    const ended = await Promise.race([this.exited, pause(seconds * 1000, null)]);
    if (ended) return ended;
    this.child.kill('SIGKILL');
    await this.exited;
    throw new Error(`${this.name} did not end ${seconds} s after ${signal}:\n${this.tail()}`);
  }
}
