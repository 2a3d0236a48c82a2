// Between Kamailio and a relay: puts blanks where they were in `rtpp-flags`, see STYLES in ./kamailio-proxy.mjs.

import { createSocket } from 'node:dgram';

/** The key in bencode, the length of its value, and the value. */
const FLAGS = /10:rtpp-flags(\d+):/;

export class SpacedFlags {
  /** Listens for NG over UDP and passes it to the port `relay`, and answers back. */
  static async start({ relay, port }) {
    const between = new SpacedFlags();
    /** Commands whose flags came as one string. */
    between.spaced = 0;
    between.front = createSocket('udp4');
    between.back = createSocket('udp4');
    let asker;
    between.front.on('message', (message, from) => {
      asker = from;
      between.back.send(between.space(message), relay, '127.0.0.1');
    });
    between.back.on('message', (message) => between.front.send(message, asker.port, asker.address));
    await new Promise((resolve) => between.front.bind(port, '127.0.0.1', resolve));
    return between;
  }

  space(message) {
    // One octet, one character.
    const text = message.toString('latin1');
    const found = FLAGS.exec(text);
    if (!found) return message;
    this.spaced += 1;
    const begin = found.index + found[0].length;
    const end = begin + Number(found[1]);
    return Buffer.from(text.slice(0, begin) + text.slice(begin, end).replaceAll('+', ' ') + text.slice(end), 'latin1');
  }

  close() {
    this.front.close();
    this.back.close();
  }
}
