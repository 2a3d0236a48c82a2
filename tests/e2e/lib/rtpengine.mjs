// Debian's rtpengine as the relay.

import { askCli } from './cli.mjs';
import { Program, until } from './proc.mjs';
import { ADDRESS, ports } from './viaduct.mjs';

export class Rtpengine {
  static async start() {
    const rtpengine = new Rtpengine();
    rtpengine.ports = ports();
    const { ng, cli, first, last } = rtpengine.ports;
    const args = ['--foreground', '--log-stderr', '--log-level=6', '--table=-1', '--pidfile=/dev/null'];
    args.push(`--interface=${ADDRESS}`, `--listen-ng=127.0.0.1:${ng}`, `--listen-cli=127.0.0.1:${cli}`);
    args.push(`--port-min=${first}`, `--port-max=${last}`);
    rtpengine.program = new Program('rtpengine', 'rtpengine', args);
    await until('rtpengine answers', () => rtpengine.sessions().then(() => true, () => false));
    return rtpengine;
  }

  async sessions() {
    return Number(/total:\s*(\d+)/.exec(await askCli(this.ports.cli, 'list numsessions'))[1]);
  }

  async expectClean() {
    let left;
    await until(() => `rtpengine still has ${left} sessions`, async () => (left = await this.sessions()) === 0, 45);
  }

  async stop() {
    await this.program.stop('SIGTERM');
  }
}
