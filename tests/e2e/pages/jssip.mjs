// A phone made of unmodified JsSIP.

import JsSIP from 'jssip';
import { picture, Sound, summarize } from './audio.mjs';

const sound = new Sound();
let ua = null;
let session = null;
const log = [];

function stream(video) {
  const tracks = sound.stream().getTracks();
  return new MediaStream(video ? [...tracks, picture()] : tracks);
}

function note(what) {
  log.push(what);
}

function adopt(next) {
  session = next;
  session.on('progress', () => note('ringing'));
  session.on('accepted', () => note('accepted'));
  session.on('confirmed', () => {
    note('confirmed');
    sound.listen(session.connection);
  });
  session.on('ended', (event) => note(`ended:${event.originator}`));
  session.on('failed', (event) => note(`failed:${event.cause}:${event.message?.status_code ?? ''}`));
  session.on('hold', (event) => note(`hold:${event.originator}`));
  session.on('unhold', (event) => note(`unhold:${event.originator}`));
}

window.phone = {
  library: 'jssip',
  async connect({ user, domain, password, server, frequency }) {
    await sound.start(frequency);
    ua = new JsSIP.UA({
      sockets: [new JsSIP.WebSocketInterface(server)],
      uri: `sip:${user}@${domain}`,
      password,
      register_expires: 120,
      session_timers: false,
    });
    ua.on('newRTCSession', ({ originator, session: incoming }) => {
      if (originator !== 'remote') return;
      note('incoming');
      adopt(incoming);
    });
    const registered = new Promise((resolve, reject) => {
      ua.on('registered', resolve);
      ua.on('registrationFailed', (event) => reject(new Error(`${event.cause} ${event.response?.status_code ?? ''}`)));
    });
    ua.start();
    await registered;
  },
  async disconnect() {
    ua.stop();
  },
  call(target, { video = false } = {}) {
    adopt(ua.call(target, { mediaStream: stream(video), mediaConstraints: { audio: true, video }, pcConfig: { iceServers: [] } }));
  },
  answer({ video = false } = {}) {
    session.answer({ mediaStream: stream(video), pcConfig: { iceServers: [] } });
  },
  /** Offers the media anew, in a re-INVITE or in an UPDATE, with a restart of ICE or without. */
  reoffer({ useUpdate = false, iceRestart = false } = {}) {
    return new Promise((resolve, reject) => {
      const options = { useUpdate, rtcOfferConstraints: { iceRestart } };
      session.renegotiate(options, resolve) || reject(new Error('not ready for a new offer'));
    });
  },
  hangup() {
    session.terminate();
  },
  hold() {
    return new Promise((resolve, reject) => session.hold({}, resolve) || reject(new Error('not ready to hold')));
  },
  resume() {
    return new Promise((resolve, reject) => session.unhold({}, resolve) || reject(new Error('not ready to resume')));
  },
  digit(digit) {
    session.sendDTMF(digit, { transportType: 'RFC2833' });
  },
  mute(muted) {
    if (muted) session.mute({ audio: true });
    else session.unmute({ audio: true });
  },
  log: () => log.slice(),
  forget: () => log.splice(0),
  hear: (frequencies) => sound.hear(frequencies),
  summary: () => summarize(session.connection),
};
