// The calls of this phone: one at a time. A second caller hears that we are busy and is named on the page.

import { Call, callerOf, rejectBusy } from './call.js';
import { describeEnd } from './diagnosis/ending.js';
import { party } from './format.js';
import { closeMicrophone, openMicrophone } from './microphone.js';

/** How many of the digits that were sent stay on show. */
const DIGITS_SHOWN = 24;

const NO_MICROPHONE = { kind: 'failed', text: 'The browser gave no microphone.' };

export class Desk {
  #store;
  #account;
  #media;
  #sound;
  #preferences;

  /** The present call: { number, name, direction, call, stream, activeSince, digits }, or null. */
  present = null;
  /** The last call: { number, name, kind, text, durationMs, at }, or null. */
  last = null;
  /** A sentence about something that happened beside, or null. */
  notice = null;

  /** `preferences()` gives those of memory.js. */
  constructor(store, account, media, sound, preferences) {
    this.#store = store;
    this.#account = account;
    this.#media = media;
    this.#sound = sound;
    this.#preferences = preferences;
  }

  get #phase() {
    return this.#store.facts.call.phase;
  }

  async dial(number) {
    if (this.present || !this.#account.line) return;
    const present = this.#begin(number, this.#account.nameOf(number), 'outgoing', 'calling');
    if (await this.#openMicrophone(present)) {
      present.call = Call.dial(this.#account.line, number, present.stream, this.#hooks(present));
    } else if (present === this.present) {
      this.#over(present, NO_MICROPHONE);
    }
  }

  /** Somebody calls. */
  ring(session) {
    const caller = callerOf(session);
    const name = caller.name || this.#account.nameOf(caller.number);
    if (this.present) {
      rejectBusy(session);
      this.note(`${party(caller.number, name)} called meanwhile and was told that you are busy.`);
      return;
    }
    const present = this.#begin(caller.number, name, 'incoming', 'incoming');
    present.call = Call.ringing(session, this.#hooks(present));
    this.#sound.play('ring');
  }

  async answer() {
    if (this.#phase !== 'incoming') return;
    const { present } = this;
    this.#sound.stop();
    this.#enter('answering');
    if (await this.#openMicrophone(present)) {
      present.call.answer(present.stream);
    } else if (present === this.present) {
      this.#over(present, NO_MICROPHONE);
      present.call.refuse();
    }
  }

  /** Hangs up, cancels or declines. */
  hangUp() {
    if (this.present?.call) this.present.call.end();
    else if (this.present)
      this.#finish(this.present, { direction: 'outgoing', answered: false, by: 'local', cause: 'Canceled' });
  }

  toggleMute() {
    if (this.#phase === 'active') this.present.call.toggleMute();
  }

  toggleHold() {
    if (this.#phase === 'active') this.present.call.toggleHold();
  }

  sendDigit(digit) {
    if (this.#phase !== 'active') return;
    if (this.present.call.sendTones(digit)) this.present.digits = (this.present.digits + digit).slice(-DIGITS_SHOWN);
    else this.note('The far side does not take digits.');
    this.#store.touch();
  }

  /** The preferred microphone changed: a running call uses it at once. */
  async changeMicrophone() {
    const { present } = this;
    if (!present?.stream) return;
    const before = present.stream;
    if (!(await this.#openMicrophone(present))) return;
    await this.#media.replace(present.stream, present.call?.sends ?? true);
    closeMicrophone(before);
  }

  note(text) {
    this.notice = text;
    this.#store.touch();
  }

  #begin(number, name, direction, phase) {
    this.present = { number, name, direction, call: null, stream: null, activeSince: null, digits: '' };
    this.last = null;
    this.notice = null;
    this.#sound.context();
    this.#enter(phase);
    return this.present;
  }

  #enter(phase) {
    if (phase !== this.#phase) this.#store.patch('call', { phase, since: Date.now() });
  }

  /** Opens the microphone for a call. False if there is none, or if the call ended meanwhile. */
  async #openMicrophone(present) {
    let stream;
    try {
      stream = await openMicrophone(this.#preferences().microphone);
    } catch (error) {
      this.#store.set({ microphone: error.kind ?? 'failed' });
      return false;
    }
    if (present !== this.present) {
      closeMicrophone(stream);
      return false;
    }
    present.stream = stream;
    this.#store.set({ microphone: 'granted' });
    return true;
  }

  #hooks(present) {
    return {
      phase: (phase) => this.#progress(present, phase),
      connection: (connection) => this.#media.follow(connection, present.stream),
      held: ({ here, there }) => {
        this.#store.patch('call', { heldHere: here, heldThere: there });
        if (!here && !there) this.#media.expectAudio();
      },
      muted: (muted) => this.#store.patch('call', { muted }),
      ringback: (audible) => (audible ? this.#sound.play('ringback') : this.#sound.stop()),
      over: (end) => this.#finish(present, end),
    };
  }

  #progress(present, phase) {
    if (phase === 'active') {
      this.#sound.stop();
      present.activeSince = Date.now();
    }
    this.#enter(phase);
  }

  #finish(present, end) {
    if (present === this.present) this.#over(present, describeEnd(end));
  }

  #over(present, { kind, text }) {
    const { number, name, activeSince, stream } = present;
    const now = Date.now();
    this.#sound.stop();
    this.#media.release();
    closeMicrophone(stream);
    this.present = null;
    this.last = { number, name, kind, text, durationMs: activeSince === null ? null : now - activeSince, at: now };
    this.#store.set({ call: { phase: 'idle', since: now, heldHere: false, heldThere: false, muted: false } });
  }
}
