// One call: a JsSIP session, reduced to what a phone needs.

import { C } from './vendor/jssip-3.13.8.js';
import { sendsNow, GATHER_MS } from './gathering.js';
import { Holding } from './holding.js';

/** No STUN or TURN server: the gateway itself has the address that must be reachable. */
const CONNECTION = { iceServers: [] };
/** Touch tones as a person presses them, in milliseconds. */
const TONE = { duration: 120, interToneGap: 70, transportType: C.DTMF_TRANSPORT.RFC2833 };

/**
 * `hooks`: phase(phase), connection(RTCPeerConnection), held({ here, there }), muted(boolean), ringback(boolean),
 * over(end) with `end` as diagnosis/ending.js wants it.
 */
export class Call {
  #session;
  #hooks;
  #direction;
  #holding;
  #answered = false;
  /** Whether this side wanted the call to end. */
  #wanted = false;

  /** Calls `number`, sending `stream`. */
  static dial(line, number, stream, hooks) {
    const session = line.call(number, { mediaStream: stream, pcConfig: CONNECTION });
    const call = new Call(session, 'outgoing', hooks);
    hooks.connection(session.connection);
    return call;
  }

  /** Takes up a session that somebody else started; it rings until `answer` or `end`. */
  static ringing(session, hooks) {
    return new Call(session, 'incoming', hooks);
  }

  constructor(session, direction, hooks) {
    this.#session = session;
    this.#hooks = hooks;
    this.#direction = direction;
    this.#holding = new Holding(session);
    this.#listen();
  }

  answer(stream) {
    this.#session.answer({ mediaStream: stream, pcConfig: CONNECTION });
    this.#hooks.connection(this.#session.connection);
  }

  /** Hangs up, cancels or declines, whichever fits. */
  end() {
    if (this.#session.isEnded()) return;
    this.#wanted = true;
    const declining = this.#direction === 'incoming' && !this.#answered;
    this.#session.terminate(declining ? { status_code: 603, reason_phrase: 'Decline' } : {});
  }

  /** Turns the call away because no microphone could be opened. */
  refuse() {
    if (!this.#session.isEnded())
      this.#session.terminate({ status_code: 480, reason_phrase: 'Microphone not available' });
  }

  toggleMute() {
    if (this.#session.isMuted().audio) this.#session.unmute({ audio: true });
    else this.#session.mute({ audio: true });
  }

  toggleHold() {
    this.#holding.toggle();
  }

  /** Whether the own audio should be heard by the far side at the moment. */
  get sends() {
    return !this.#session.isMuted().audio && !this.#session.isOnHold().local;
  }

  /** Sends touch tones as telephone events (RFC 4733). Returns false if the far side does not take them. */
  sendTones(tones) {
    try {
      this.#session.sendDTMF(tones, { ...TONE });
      return true;
    } catch {
      return false;
    }
  }

  #listen() {
    const session = this.#session;
    const hooks = this.#hooks;
    session.on('icecandidate', ({ candidate, ready }) => {
      if (sendsNow(candidate)) ready();
      else setTimeout(ready, GATHER_MS);
    });
    session.on('progress', ({ originator, response }) => {
      if (originator === 'local') return;
      hooks.phase('ringing');
      hooks.ringback(!response?.body);
    });
    session.on('accepted', () => {
      this.#answered = true;
      hooks.phase('active');
    });
    const held = () => hooks.held({ here: session.isOnHold().local, there: session.isOnHold().remote });
    session.on('hold', held);
    session.on('unhold', held);
    const muted = () => hooks.muted(session.isMuted().audio);
    session.on('muted', muted);
    session.on('unmuted', muted);
    session.on('ended', (event) => this.#finish(event));
    session.on('failed', (event) => this.#finish(event));
  }

  #finish({ originator, message, cause }) {
    this.#holding.stop();
    // JsSIP cancels a call by itself only when ICE has failed, and tells that like a cancellation by the user.
    if (originator === 'local' && cause === C.causes.CANCELED && !this.#wanted) cause = C.causes.RTP_TIMEOUT;
    this.#hooks.over({
      direction: this.#direction,
      answered: this.#answered,
      by: originator,
      cause,
      code: message?.status_code ?? null,
      reason: message?.reason_phrase ?? '',
      warning: message?.getHeader?.('warning') ?? null,
      note: message?.getHeader?.('reason') ?? null,
    });
  }
}

/** Who calls in a session that somebody else started: { number, name }, the name empty if there is none. */
export function callerOf(session) {
  const { uri, display_name: name } = session.remote_identity;
  return { number: decoded(uri.user ?? uri.host), name: name ?? '' };
}

/** Tells the caller that this phone is busy. */
export function rejectBusy(session) {
  session.terminate({ status_code: 486, reason_phrase: 'Busy Here' });
}

/** A SIP user part without its escapes; as it is if they are broken. */
function decoded(user) {
  try {
    return decodeURIComponent(user);
  } catch {
    return user;
  }
}
