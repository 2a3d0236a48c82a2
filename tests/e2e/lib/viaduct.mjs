// A gateway or relay of ours, started as a user would.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { execFile } from 'node:child_process';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { askCli } from './cli.mjs';
import { Program, until } from './proc.mjs';

const run = promisify(execFile);

/** Where the programs are. */
export const BIN = process.env.VIADUCT_BIN ?? fileURLToPath(new URL('../../../target/debug', import.meta.url));

/** This machine's address inside the tests' network. */
export const ADDRESS = process.env.VIADUCT_TEST_ADDRESS ?? '127.0.0.1';

/** Further addresses of this machine, for servers that tell each other by them. */
export const ROW = (process.env.VIADUCT_TEST_ROW ?? '127.0.0.3 127.0.0.4 127.0.0.5').split(' ');

/** Everybody's password. */
export const PASSWORD = 'apple-pie-4711';

/** Keys of `timers`: short enough that a test can wait until no transaction is left. */
export const TIMERS = 't1: 100ms, t4: 1s, d: 6s';

/** Ports of one gateway. Every gateway of a test run takes the next block. */
let block = 0;
export function ports() {
  const base = 12000 + 20 * block;
  const first = 20000 + 200 * block++;
  const [http, https, sip, sips, media, ng, cli] = [0, 1, 2, 3, 4, 5, 6].map((offset) => base + offset);
  return { http, https, sip, sips, media, ng, cli, first, last: first + 199 };
}

export const USERS = ['201', '202', '203', '204', '300', '301', '302'];

/** A running gateway that can be asked how it is. */
export class Observed {
  /** What one of the program's own commands prints as JSON. */
  async ask(verb) {
    const { stdout } = await run(path.join(BIN, 'viaduct'), [verb, '--json', '--socket', this.socket]);
    return JSON.parse(stdout);
  }

  status() {
    return this.ask('status');
  }

  /** Remembers which connections there are while nobody calls, and the tasks that serve them. */
  async mark() {
    const { connections, tasks } = leftovers(await this.status());
    this.resting = { connections, tasks };
  }

  /**
   * Nothing is left of any call, connection or transaction: waits for it. What `except` names may
   * still be there: transactions take 6 s to die.
   */
  async expectClean({ except = [] } = {}) {
    let seen;
    await until(
      () => `left behind: ${JSON.stringify(seen)}, at rest: ${JSON.stringify(this.resting)}`,
      async () => {
        seen = leftovers(await this.status());
        return Object.entries(seen).every(([what, count]) => except.includes(what) || count <= (this.resting[what] ?? 0));
      },
      45,
    );
  }
}

/** Everything in a status that calls and connections must not leave behind. */
function leftovers(status) {
  const { calls, transactions, forwarded_requests: requests, waiting, service_sessions: services } = status.signalling;
  const { all: connections, tasks } = status.connections;
  const relay = status.relay.built_in;
  const media = relay ? { relayed: relay.calls, ports: relay.ports_in_use, flows: relay.flows, legs: relay.legs } : {};
  return { calls, transactions, requests, waiting, services, connections, tasks, ...media };
}

export class Gateway extends Observed {
  /** Starts a gateway with test users. `change` may rewrite the text of the configuration. */
  static async start({ change = (text) => text, relay = 'built-in', address = ADDRESS, domain = 'viaduct.test' } = {}) {
    const gateway = new Gateway();
    gateway.folder = mkdtempSync(path.join(tmpdir(), 'viaduct-e2e-'));
    gateway.socket = path.join(gateway.folder, 'state/control.sock');
    gateway.ports = ports();
    gateway.address = address;
    gateway.domain = domain;
    const host = address.includes(':') ? `[${address}]` : address;
    gateway.host = host;
    const { http, https, sip, sips, media, first, last } = gateway.ports;
    const users = USERS.map((user) => `  "${user}": { secret_env: PASSWORD }\n`).join('');
    const mediaSettings = `  interfaces: { default: { address: "${address}" } }
  browser_port: ${media}
  rtp_ports: ${first}-${last}
  port_rest: 0s
`;
    gateway.config = change(
      `version: 1
site: { domain: ${domain}, state_dir: state }
listen:
  - http://${host}:${http}
  - https://${host}:${https}
  - sip+udp://${host}:${sip}
  - sip+tcp://${host}:${sip}
  - sip+tls://${host}:${sips}
users:
${users}relay:
  mode: "${relay}"
${relay === 'built-in' ? mediaSettings : ''}auth: { origins: any }
limits: { requests_per_source: 100000/1s, connections_per_source: 1000 }
timers: { ${TIMERS} }
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
    const options = { cwd: this.folder, env: { ...process.env, PASSWORD } };
    this.program = new Program('viaduct', path.join(BIN, 'viaduct'), ['run', this.file], options);
    await this.program.said('listening on sip+tls');
    await until('the gateway answers', () => this.mark().then(() => true, () => false));
  }

  get ws() {
    return `ws://${this.host}:${this.ports.http}/sip`;
  }

  get wss() {
    return `wss://${this.host}:${this.ports.https}/sip`;
  }

  /** Where phones register. */
  get sip() {
    return `${this.host}:${this.ports.sip}`;
  }

  /** The same, over TLS. */
  get sips() {
    return `${this.host}:${this.ports.sips}`;
  }

  async stop() {
    const ended = await this.program.stop();
    assert.deepEqual(ended, { code: 0, signal: null }, `the gateway ended badly:\n${this.program.tail()}`);
    assert.ok(!/panicked|ended with a fault/.test(this.program.output), `the gateway had a fault:\n${this.program.tail()}`);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Our relay alone, as a drop-in for rtpengine. */
export class Relay {
  static async start(extra = []) {
    const relay = new Relay();
    relay.ports = ports();
    const { ng, cli, first, last } = relay.ports;
    relay.folder = mkdtempSync(path.join(tmpdir(), 'viaduct-relay-'));
    const args = ['-p', path.join(relay.folder, 'relay.pid'), '-i', `eth0/${ADDRESS}`, '-n', `127.0.0.1:${ng}`];
    args.push('-c', `127.0.0.1:${cli}`, '-m', `${first}`, '-M', `${last}`, '-E', '-L', '7', ...extra);
    relay.program = new Program('viaduct-relay', path.join(BIN, 'viaduct-relay'), args);
    await until('the relay listens', () => relay.cli('list numsessions').then(() => true, () => false));
    return relay;
  }

  cli(line) {
    return askCli(this.ports.cli, line);
  }

  async expectClean() {
    let told;
    const gone = async () => /own: 0$/m.test((told = await this.cli('list numsessions')));
    await until(() => `sessions are left: ${told}`, gone, 20);
  }

  async stop() {
    const ended = await this.program.stop('SIGINT', 3);
    assert.deepEqual(ended, { code: 0, signal: null }, `the relay ended badly:\n${this.program.tail()}`);
    rmSync(this.folder, { recursive: true, force: true });
  }
}
