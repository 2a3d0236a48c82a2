// The command line of OpenSSL as one end of DTLS-SRTP: it shakes hands, and the keys that it exports protect the packets.

import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Program, until } from './proc.mjs';
import { Hearing, Mouth, isRtp, mediaAddress } from './sound.mjs';
import { Srtp } from './srtp.mjs';
import { ADDRESS, ports } from './viaduct.mjs';

const OPTIONS = ['-use_srtp', 'SRTP_AES128_CM_SHA1_80', '-keymatexport', 'EXTRACTOR-dtls_srtp', '-keymatexportlen', '60'];

export class Openssl {
  /** As `client` of the handshake or as `server`. */
  static async open(role, frequency) {
    const peer = new Openssl();
    peer.role = role;
    peer.frequency = frequency;
    peer.mouth = new Mouth(frequency);
    peer.hearing = new Hearing(`openssl as ${role}`);
    peer.folder = mkdtempSync(path.join(tmpdir(), 'openssl-'));
    [peer.key, peer.certificate] = ['key.pem', 'certificate.pem'].map((name) => path.join(peer.folder, name));
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=peer'];
    execFileSync('openssl', ['req', '-x509', ...curve, '-keyout', peer.key, '-out', peer.certificate], { stdio: 'ignore' });
    // Media and DTLS come to one port. OpenSSL has DTLS alone, on loopback.
    peer.media = createSocket('udp4');
    peer.media.bind(0, ADDRESS);
    peer.inner = createSocket('udp4');
    peer.inner.bind(0, '127.0.0.1');
    await Promise.all([once(peer.media, 'listening'), once(peer.inner, 'listening')]);
    if (role === 'server') {
      peer.at = { address: '127.0.0.1', port: ports().http };
      await peer.launch('s_server', ['-accept', `127.0.0.1:${peer.at.port}`, '-verify', '1']);
      await peer.program.said('ACCEPT');
    }
    peer.media.on('message', (datagram) => peer.onDatagram(datagram));
    return peer;
  }

  async launch(command, args) {
    const all = [command, '-dtls1_2', '-cert', this.certificate, '-key', this.key, ...OPTIONS, ...args];
    // It ends when its input does.
    this.program = new Program(`openssl ${command}`, 'openssl', all, { stdio: ['pipe', 'pipe', 'pipe'] });
  }

  get sdp() {
    const fingerprint = new X509Certificate(readFileSync(this.certificate)).fingerprint256;
    const lines = ['v=0', `o=openssl 1 1 IN IP4 ${ADDRESS}`, 's=-', `c=IN IP4 ${ADDRESS}`, 't=0 0'];
    lines.push(`m=audio ${this.media.address().port} UDP/TLS/RTP/SAVP 8`, 'a=rtpmap:8 PCMA/8000', 'a=rtcp-mux', 'a=sendrecv');
    lines.push(`a=setup:${this.role === 'client' ? 'active' : 'passive'}`, `a=fingerprint:sha-256 ${fingerprint}`);
    return `${lines.join('\r\n')}\r\n`;
  }

  onDatagram(datagram) {
    if (isRtp(datagram)) {
      // What overtakes the keys is lost.
      if (this.srtp) this.hearing.take(this.srtp.receive.unprotect(datagram));
    } else if (datagram[0] >= 20 && datagram[0] < 64 && this.at) {
      this.inner.send(datagram, this.at.port, this.at.address);
    }
  }

  /** Shakes hands with the relay, compares its certificate with its SDP, and talks. */
  async talk(sdp) {
    const { address, port } = mediaAddress(sdp);
    this.inner.on('message', (datagram, from) => {
      this.at = from;
      this.media.send(datagram, port, address);
    });
    if (this.role === 'client') await this.launch('s_client', ['-connect', `127.0.0.1:${this.inner.address().port}`]);
    const exported = await until(
      () => `no keys:\n${this.program.tail()}`,
      () => /Keying material: ([0-9A-F]{120})/.exec(this.program.output)?.[1],
    );
    this.srtp = Srtp.pair(Buffer.from(exported, 'hex'), this.role === 'client');
    this.timer = setInterval(() => this.media.send(this.srtp.send.protect(this.mouth.packet()), port, address), 20);
  }

  /** The fingerprint of the certificate that the relay has shown. */
  get shown() {
    const pem = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/.exec(this.program.output);
    return new X509Certificate(pem[0]).fingerprint256;
  }

  hears(...tones) {
    return this.hearing.hears(...tones);
  }

  async close() {
    clearInterval(this.timer);
    await this.program?.stop('SIGKILL');
    this.media.close();
    this.inner.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
