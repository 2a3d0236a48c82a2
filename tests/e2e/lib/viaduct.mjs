// A gateway or relay of ours, started as a user would.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { execFile } from 'node:child_process';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import assert from 'node:assert/strict';
import { Program, until } from './proc.mjs';

const run = promisify(execFile);

/** Where the programs are. */
export const BIN = process.env.VIADUCT_BIN ?? path.resolve(import.meta.dirname, '../../../target/release');

/** This machine's address inside the tests' network. */
export const ADDRESS = process.env.VIADUCT_TEST_ADDRESS ?? '127.0.0.1';

/** Everybody's password. */
export const PASSWORD = 'apple-pie-4711';

/** Ports of one gateway. Every gateway of a test run takes the next block. */
let block = 0;
function ports() {
  const base = 12000 + 20 * block++;
  return { http: base, https: base + 1, sip: base + 2, sips: base + 3, media: base + 4, ng: base + 5, cli: base + 6 };
}

export const USERS = ['201', '202', '203', '300', '301', '302'];

export class Gateway {
  /** Starts a gateway with test users. `change` may rewrite the text of the configuration. */
  static async start({ change = (text) => text, relay = 'built-in' } = {}) {
    const gateway = new Gateway();
    gateway.folder = mkdtempSync(path.join(tmpdir(), 'viaduct-e2e-'));
    gateway.ports = ports();
    const { http, https, sip, sips, media } = gateway.ports;
    const users = USERS.map((user) => `  "${user}": { secret: "${PASSWORD}" }\n`).join('');
    const first = 20000 + 200 * block;
    gateway.config = change(
      `version: 1
site: { domain: viaduct.test, state_dir: state }
listen:
  - http://${ADDRESS}:${http}
  - https://${ADDRESS}:${https}
  - sip+udp://${ADDRESS}:${sip}
  - sip+tcp://${ADDRESS}:${sip}
  - sip+tls://${ADDRESS}:${sips}
users:
${users}relay:
  mode: "${relay}"
  interfaces: { default: { address: "${ADDRESS}" } }
  browser_port: ${media}
  rtp_ports: ${first}-${first + 199}
  port_rest: 0s
auth: { origins: any }
limits: { requests_per_source: 100000/1s, connections_per_source: 1000 }
metrics: { listen: none }
log: { level: debug }
`,
    );
    gateway.file = path.join(gateway.folder, 'gateway.yaml');
    writeFileSync(gateway.file, gateway.config);
    await gateway.launch();
    return gateway;
  }

  async launch() {
    this.program = new Program('viaduct', path.join(BIN, 'viaduct'), ['run', this.file]);
    await this.program.said('listening on sip+tls');
  }

  get ws() {
    return `ws://${ADDRESS}:${this.ports.http}/sip`;
  }

  get wss() {
    return `wss://${ADDRESS}:${this.ports.https}/sip`;
  }

  get domain() {
    return 'viaduct.test';
  }

  /** What one of the program's own commands prints as JSON. */
  async ask(verb) {
    const socket = path.join(this.folder, 'state/control.sock');
    const { stdout } = await run(path.join(BIN, 'viaduct'), [verb, '--json', '--socket', socket]);
    return JSON.parse(stdout);
  }

  status() {
    return this.ask('status');
  }

  /** Nothing of any call is left: waits for it, as transactions take their time to die. */
  async expectClean() {
    let status;
    await until(
      () => `left behind: ${JSON.stringify(status, null, 1)}`,
      async () => {
        status = await this.status();
        const { calls, forwarded_requests: requests, waiting, service_sessions: services } = status.signalling;
        const relay = status.relay.built_in;
        const media = relay ? relay.calls + relay.ports_in_use + relay.flows : 0;
        return calls + requests + waiting + services + media === 0;
      },
      45,
    );
  }

  async stop() {
    const ended = await this.program.stop();
    assert.deepEqual(ended, { code: 0, signal: null }, `the gateway ended badly:\n${this.program.tail()}`);
    assert.ok(!/panicked|fault/.test(this.program.output), `the gateway had a fault:\n${this.program.tail()}`);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Our relay alone, as a drop-in for rtpengine. */
export class Relay {
  static async start(extra = []) {
    const relay = new Relay();
    relay.ports = ports();
    relay.first = 20000 + 200 * block;
    const { ng, cli } = relay.ports;
    relay.folder = mkdtempSync(path.join(tmpdir(), 'viaduct-relay-'));
    const args = ['-p', path.join(relay.folder, 'relay.pid'), '-i', `eth0/${ADDRESS}`, '-n', `127.0.0.1:${ng}`];
    args.push('-c', `127.0.0.1:${cli}`, '-m', `${relay.first}`, '-M', `${relay.first + 199}`, '-E', '-L', '7', ...extra);
    relay.program = new Program('viaduct-relay', path.join(BIN, 'viaduct-relay'), args);
    await until('the relay listens', () => relay.cli('list numsessions').then(() => true, () => false));
    return relay;
  }

  /** The answer to one line of the command port. */
  async cli(line) {
    const { connect } = await import('node:net');
    return new Promise((resolve, reject) => {
      let answer = '';
      const socket = connect(this.ports.cli, '127.0.0.1', () => socket.end(`${line}\n`));
      socket.setTimeout(3000, () => socket.destroy(new Error('the command port is silent')));
      socket.on('data', (data) => (answer += data));
      socket.on('end', () => resolve(answer));
      socket.on('error', reject);
    });
  }

  async expectClean() {
    await until('sessions are gone', async () => /\b0\b/.test(await this.cli('list numsessions')), 20);
  }

  async stop() {
    const ended = await this.program.stop('SIGINT', 3);
    assert.deepEqual(ended, { code: 0, signal: null }, `the relay ended badly:\n${this.program.tail()}`);
    rmSync(this.folder, { recursive: true, force: true });
  }
}
