// SIPp, which does exactly what a script says and fails when the gateway does not.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Program } from './proc.mjs';
import { ADDRESS, PASSWORD } from './viaduct.mjs';

const SCRIPTS = fileURLToPath(new URL('../sipp', import.meta.url));

/** The phone of each user sits on a port of its own, so that a registration by one script serves the next. */
function place(user) {
  return 17000 + 10 * (Number(user) % 100);
}

export class Sipp {
  /**
   * Starts a script as `user`. `service` is the number that it calls; with `echo` it says what it hears. Through a `tunnel`,
   * TCP becomes TLS. A script that is called is on UDP: connections end with the script that opened them.
   */
  static start(gateway, script, { user, service = '100', echo = false, transport = 'udp', tunnel }) {
    const sipp = new Sipp();
    sipp.script = script;
    sipp.folder = mkdtempSync(path.join(tmpdir(), 'sipp-'));
    const port = place(user);
    const args = [tunnel?.entrance ?? gateway.sip, '-t', transport === 'udp' ? 'u1' : 't1', '-sf', path.join(SCRIPTS, `${script}.xml`), '-m', '1', '-i', ADDRESS, '-p', `${port}`];
    args.push('-mi', ADDRESS, '-mp', `${port + 2}`, '-s', service, '-nostdin', '-timeout', '25s', '-timeout_error');
    args.push('-key', 'user', user, '-key', 'domain', gateway.domain, '-au', user, '-ap', PASSWORD);
    // Left to itself SIPp proves the password for its remote address, and not for what it dials.
    args.push('-auth_uri', script === 'register' ? gateway.domain : `${service}@${gateway.domain}`);
    if (echo) args.push('-rtp_echo');
    args.push('-trace_err', '-trace_msg', '-cid_str', `${script}-%u-%p@%s`);
    sipp.program = new Program(`sipp ${script}`, 'sipp', args, { cwd: sipp.folder });
    return sipp;
  }

  static async run(gateway, script, options) {
    await Sipp.start(gateway, script, options).done();
  }

  /** Waits until every step of the script was taken. */
  async done() {
    const { code } = await this.program.exited;
    const files = readdirSync(this.folder).map((name) => readFileSync(path.join(this.folder, name), 'utf8'));
    assert.equal(code, 0, `the script ${this.script} was not followed:\n${files.join('\n').slice(-12000)}\n${this.program.tail(800)}`);
    rmSync(this.folder, { recursive: true, force: true });
  }
}
