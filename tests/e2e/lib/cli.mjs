// The command port that rtpengine has, and our relay too.

import { connect } from 'node:net';

/** The answer to one line. */
export function askCli(port, line) {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(`${line}\n`));
    // It closes first: rtpengine does not answer whom it finds to have closed with his line.
    socket.setTimeout(3000, () => socket.destroy(new Error('the command port is silent')));
    socket.on('data', (data) => (answer += data));
    socket.on('end', () => resolve(answer));
    socket.on('error', reject);
  });
}
