// TLS for programs that have none: Debian builds SIPp without.

import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { ADDRESS } from './viaduct.mjs';

/** Takes connections over TCP, and carries them on over TLS. */
export class Tunnel {
  static async to(server) {
    const tunnel = new Tunnel();
    const [host, port] = server.split(':');
    // The gateway's certificate is its own; whether it is good is asked elsewhere.
    const far = { host, port: Number(port), localAddress: ADDRESS, rejectUnauthorized: false };
    tunnel.sockets = new Set();
    tunnel.server = net.createServer((near) => {
      const secure = tls.connect(far);
      for (const [socket, other] of [[near, secure], [secure, near]]) {
        tunnel.sockets.add(socket);
        socket.on('error', () => other.destroy());
        socket.on('close', () => tunnel.sockets.delete(socket));
        socket.pipe(other);
      }
    });
    tunnel.server.listen(0, ADDRESS);
    await once(tunnel.server, 'listening');
    tunnel.entrance = `${ADDRESS}:${tunnel.server.address().port}`;
    return tunnel;
  }

  async close() {
    this.sockets.forEach((socket) => socket.destroy());
    this.server.close();
    await once(this.server, 'close');
  }
}
