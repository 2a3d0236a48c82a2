// Tones in G.711, packet by packet.

import { goertzel } from '../pages/goertzel.mjs';
import { until } from './proc.mjs';

/** Samples in a second, in a packet, and that a measurement looks at. */
const RATE = 8000;
const PACKET = 160;
const WINDOW = 2400;

/** One octet of A-law for a 16-bit sample (ITU-T G.711). */
function encode(sample) {
  const sign = sample >= 0 ? 0x80 : 0;
  const size = Math.min(sample >= 0 ? sample : -sample - 1, 32767) >> 3;
  const exponent = Math.max(0, Math.floor(Math.log2(Math.max(size, 1))) - 4);
  const mantissa = (exponent > 1 ? size >> exponent : size >> 1) & 0x0f;
  const segment = size < 32 ? size >> 4 : exponent;
  return (sign | (segment << 4) | mantissa) ^ 0x55;
}

function decode(octet) {
  const code = octet ^ 0x55;
  const [segment, mantissa] = [(code >> 4) & 7, code & 0x0f];
  const size = segment === 0 ? (mantissa << 4) + 8 : ((mantissa << 4) + 0x108) << (segment - 1);
  return code & 0x80 ? size : -size;
}

/** What somebody says: RTP packets of a tone, 20 ms each. */
export class Mouth {
  constructor(frequency) {
    this.frequency = frequency;
    this.ssrc = (0x5eed0000 + frequency) >>> 0;
    this.sequence = 0;
  }

  /** The next packet: RTP with PCMA as type 8. */
  packet() {
    const header = Buffer.alloc(12);
    header[0] = 0x80;
    header[1] = 8;
    header.writeUInt16BE(this.sequence & 0xffff, 2);
    header.writeUInt32BE(this.sequence * PACKET, 4);
    header.writeUInt32BE(this.ssrc, 8);
    const first = this.sequence++ * PACKET;
    const sample = (n) => Math.round(12000 * Math.sin((2 * Math.PI * this.frequency * (first + n)) / RATE));
    return Buffer.concat([header, Buffer.from(Array.from({ length: PACKET }, (_, n) => encode(sample(n))))]);
  }
}

/** What somebody hears. */
export class Hearing {
  constructor(name) {
    this.name = name;
    this.samples = [];
  }

  /** Takes an RTP packet with PCMA. */
  take(packet) {
    if ((packet[1] & 0x7f) !== 8) return;
    this.samples.push(...Array.from(packet.subarray(12 + 4 * (packet[0] & 0x0f)), decode));
    this.samples = this.samples.slice(-WINDOW);
  }

  /** Waits until this tone is heard, and none of the others. */
  async hears(frequency, others = []) {
    let levels = [];
    await until(
      () => `${this.name} does not hear ${frequency} Hz alone: ${JSON.stringify({ frequency, others, levels })}`,
      () => {
        if (this.samples.length < WINDOW) return false;
        const samples = Float64Array.from(this.samples, (sample) => sample / 32768);
        levels = [frequency, ...others].map((one) => goertzel(samples, RATE, one));
        return levels[0] > 0.05 && levels.slice(1).every((level) => level < levels[0] / 10);
      },
    );
  }
}

/** Whether a datagram is RTP, and not RTCP, DTLS or STUN (RFC 7983, RFC 5761). */
export function isRtp(datagram) {
  return datagram.length > 12 && datagram[0] >> 6 === 2 && !(datagram[1] >= 192 && datagram[1] <= 223);
}

/** Where an SDP of one m-line wants media. */
export function mediaAddress(sdp) {
  return { address: /^c=IN IP4 (\S+)/m.exec(sdp)[1], port: Number(/^m=audio (\d+)/m.exec(sdp)[1]) };
}
