// A phone made of unmodified JsSIP.

import JsSIP from 'jssip';
import { picture, Sound, summarize } from './audio.mjs';

const sound = new Sound();
let ua = null;
/** The call that was begun last, and all before it. */
let session = null;
const sessions = [];
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
  sessions.push(next);
  session.on('progress', ({ response }) => {
    note('ringing');
    if (response?.body) note('early');
  });
  session.on('accepted', () => note('accepted'));
  session.on('confirmed', () => {
    note('confirmed');
    sound.listen(next.connection);
  });
  session.on('ended', (event) => note(`ended:${event.originator}`));
  session.on('failed', ({ cause, message }) => {
    note(`failed:${cause}:${message?.status_code ?? ''}`);
    const reason = message?.getHeader?.('reason');
    if (reason) note(`reason:${reason}`);
  });
  // Transfers: who is told to call somebody calls, and who is to take over a call takes it.
  session.on('refer', ({ accept }) => {
    note('referred');
    accept(adopt, calling(false));
  });
  session.on('replaces', ({ accept }) => {
    note('replaced');
    accept((taken) => {
      adopt(taken);
      window.phone.answer();
    });
  });
  session.on('hold', (event) => note(`hold:${event.originator}`));
  session.on('unhold', (event) => note(`unhold:${event.originator}`));
}

function calling(video) {
  return { mediaStream: stream(video), mediaConstraints: { audio: true, video }, pcConfig: { iceServers: [] } };
}

/** Sends the other side of the first call somewhere else. That call is over when it has arrived. */
function refer(target, options = {}) {
  const [first] = sessions;
  const accepted = () => {
    note('transferred');
    first.terminate();
  };
  const failed = () => note('transfer failed');
  first.refer(target, { ...options, eventHandlers: { accepted, failed, requestFailed: failed } });
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
    adopt(ua.call(target, calling(video)));
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
  transfer: (target) => refer(target),
  /** To the other side of the second call. */
  join: () => refer(session.remote_identity.uri, { replaces: session }),
  digit(digit) {
    session.sendDTMF(digit, { transportType: 'RFC2833' });
  },
  mute(muted) {
    if (muted) session.mute({ audio: true });
    else session.unmute({ audio: true });
  },
  log: () => log.slice(),
  forget: () => log.splice(0),
  /** What comes before the answer is heard when the page asks for it. */
  listen: () => sound.listen(session.connection),
  hear: (frequencies) => sound.hear(frequencies),
  summary: () => summarize(session.connection),
};
