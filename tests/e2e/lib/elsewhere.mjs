// Another machine: a network of its own behind a cable, whose address can change.

import { execFile, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Our end of the cable. */
export const NEAR = '10.78.0.1';

export class Elsewhere {
  /** Lays the cable and gives the other machine an address. */
  static async open(address) {
    const elsewhere = new Elsewhere();
    elsewhere.address = address;
    // Lives as long as the test: it holds the network.
    elsewhere.holder = spawn('unshare', ['--net', 'sh', '-c', 'echo ready; exec sleep infinity'], { stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise((resolve) => elsewhere.holder.stdout.once('data', resolve));
    const { pid } = elsewhere.holder;
    await run('ip', ['link', 'add', 'near', 'type', 'veth', 'peer', 'name', 'far', 'netns', String(pid)]);
    await run('ip', ['address', 'add', `${NEAR}/24`, 'dev', 'near']);
    await run('ip', ['link', 'set', 'near', 'up']);
    await elsewhere.ip('link', 'set', 'lo', 'up');
    await elsewhere.ip('link', 'set', 'far', 'up');
    await elsewhere.ip('address', 'add', `${address}/24`, 'dev', 'far');
    await elsewhere.ip('route', 'add', 'default', 'via', NEAR);
    elsewhere.folder = mkdtempSync(path.join(tmpdir(), 'elsewhere-'));
    return elsewhere;
  }

  ip(...args) {
    return run('nsenter', ['--net', '-t', String(this.holder.pid), 'ip', ...args]);
  }

  /** A program that runs `command` there. */
  program(command) {
    const file = path.join(this.folder, path.basename(command));
    writeFileSync(file, `#!/bin/sh\nexec nsenter --net -t ${this.holder.pid} ${command} "$@"\n`);
    chmodSync(file, 0o755);
    return file;
  }

  /** From one moment to the next the machine has this address and no other, as after a change of networks. */
  async move(address) {
    await this.ip('address', 'delete', `${this.address}/24`, 'dev', 'far');
    await this.ip('address', 'add', `${address}/24`, 'dev', 'far');
    await this.ip('route', 'add', 'default', 'via', NEAR);
    this.address = address;
  }

  async close() {
    await run('ip', ['link', 'delete', 'near']).catch(() => {});
    this.holder.kill('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }
}
