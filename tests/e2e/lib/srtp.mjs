// SRTP with AES_CM_128_HMAC_SHA1_80 (RFC 3711) out of the building blocks of node, to judge ours by.

import assert from 'node:assert/strict';
import { createCipheriv, createHmac } from 'node:crypto';

const TAG = 10;

/** AES in counter mode from this block on. */
function stream(key, block, data) {
  return createCipheriv('aes-128-ctr', key, block).update(data);
}

/** Session keys of a master key and salt (section 4.3). */
function derive(master, salt) {
  const key = (label, length) => {
    const block = Buffer.concat([salt, Buffer.alloc(2)]);
    block[7] ^= label;
    return stream(master, block, Buffer.alloc(length));
  };
  return { encryption: key(0, 16), authentication: key(1, 20), salt: key(2, 14) };
}

/** One direction of one SSRC, for less than a cycle of sequence numbers: the rollover counter stays 0. */
export class Srtp {
  constructor(master, salt) {
    this.keys = derive(master, salt);
  }

  /** The keys of both directions as DTLS exports them (RFC 5764 section 4.2). */
  static pair(exported, isClient) {
    const [client, server] = [0, 1].map((side) => {
      const [key, salt] = [exported.subarray(16 * side, 16 * side + 16), exported.subarray(32 + 14 * side, 46 + 14 * side)];
      return new Srtp(key, salt);
    });
    return isClient ? { send: client, receive: server } : { send: server, receive: client };
  }

  protect(packet) {
    const encrypted = this.cipher(packet);
    return Buffer.concat([encrypted, this.tag(encrypted)]);
  }

  /** The packet, which must be authentic. */
  unprotect(packet) {
    const body = packet.subarray(0, -TAG);
    assert.deepEqual(packet.subarray(-TAG), this.tag(body), 'the tag of an SRTP packet');
    return this.cipher(body);
  }

  cipher(packet) {
    let header = 12 + 4 * (packet[0] & 0x0f);
    if (packet[0] & 0x10) header += 4 + 4 * packet.readUInt16BE(header + 2);
    const block = Buffer.concat([this.keys.salt, Buffer.alloc(2)]);
    for (let n = 0; n < 4; n++) block[4 + n] ^= packet[8 + n];
    for (let n = 0; n < 2; n++) block[12 + n] ^= packet[2 + n];
    return Buffer.concat([packet.subarray(0, header), stream(this.keys.encryption, block, packet.subarray(header))]);
  }

  tag(packet) {
    const rollover = Buffer.alloc(4);
    return createHmac('sha1', this.keys.authentication).update(packet).update(rollover).digest().subarray(0, TAG);
  }
}
