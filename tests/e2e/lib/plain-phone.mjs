// The media of a phone: plain RTP, and no SIP.

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { Hearing, Mouth, isRtp, mediaAddress } from './sound.mjs';
import { ADDRESS } from './viaduct.mjs';

export class PlainPhone {
  static async open(frequency) {
    const phone = new PlainPhone();
    phone.frequency = frequency;
    phone.mouth = new Mouth(frequency);
    phone.hearing = new Hearing('the phone');
    phone.socket = createSocket('udp4');
    phone.socket.on('message', (packet) => isRtp(packet) && phone.hearing.take(packet));
    phone.socket.bind(0, ADDRESS);
    await once(phone.socket, 'listening');
    return phone;
  }

  get sdp() {
    const lines = ['v=0', `o=phone 1 1 IN IP4 ${ADDRESS}`, 's=-', `c=IN IP4 ${ADDRESS}`, 't=0 0'];
    lines.push(`m=audio ${this.socket.address().port} RTP/AVP 8`, 'a=rtpmap:8 PCMA/8000', 'a=sendrecv');
    return `${lines.join('\r\n')}\r\n`;
  }

  /** Talks to where the relay's SDP says. */
  talk(sdp) {
    const { address, port } = mediaAddress(sdp);
    this.timer = setInterval(() => this.socket.send(this.mouth.packet(), port, address), 20);
  }

  hears(...tones) {
    return this.hearing.hears(...tones);
  }

  close() {
    clearInterval(this.timer);
    this.socket.close();
  }
}
