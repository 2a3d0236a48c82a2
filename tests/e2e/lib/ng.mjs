// A proxy's side of NG: JSON over UDP.

import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';

/** What our proxy says of each reader, see viaduct-routing. */
const BROWSER = 'UDP/TLS/RTP/SAVPF ICE=force rtcp-mux-offer rtcp-mux-require SDES-off generate-mid no-rtcp-attribute replace-origin';
const PHONE = 'RTP/AVP ICE=remove rtcp-mux-demux bundle=[accept] strip-extmap replace-origin';
export const FLAGS = {
  browserToPhone: `${PHONE} DTLS-reverse=passive`,
  phoneAnswersBrowser: `${BROWSER} DTLS=passive`,
  phoneToBrowser: BROWSER,
  browserAnswersPhone: PHONE,
};

export class NgClient {
  static async open(port) {
    const client = new NgClient();
    client.asked = 0;
    client.socket = createSocket('udp4');
    client.socket.connect(port, '127.0.0.1');
    await once(client.socket, 'connect');
    return client;
  }

  /** Asks, and gives the reply's dictionary. What is refused fails. */
  async ask(command, keys) {
    const cookie = `${process.pid}_${this.asked++}`;
    const answered = once(this.socket, 'message', { signal: AbortSignal.timeout(5000) });
    this.socket.send(`${cookie} ${JSON.stringify({ command, ...keys })}`);
    const text = (await answered)[0].toString();
    assert.ok(text.startsWith(`${cookie} `), text);
    const reply = JSON.parse(text.slice(cookie.length + 1));
    assert.equal(reply.result, 'ok', text);
    return reply;
  }

  /** Offers for `a`; the SDP for the other side. */
  async offer(call, sdp, flags) {
    return (await this.ask('offer', { 'call-id': call, 'from-tag': 'a', sdp, 'rtpp-flags': flags })).sdp;
  }

  /** Answers for `b`; the SDP for the side that has offered. */
  async answer(call, sdp, flags) {
    return (await this.ask('answer', { 'call-id': call, 'from-tag': 'a', 'to-tag': 'b', sdp, 'rtpp-flags': flags })).sdp;
  }

  delete(call) {
    return this.ask('delete', { 'call-id': call });
  }

  close() {
    this.socket.close();
  }
}
