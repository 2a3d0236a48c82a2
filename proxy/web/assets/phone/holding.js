// Hold and resume as the user wishes them. JsSIP refuses a change while another one of the call is under way, on
// either side; the wish is kept here until it can be carried out.

/** How long to wait before asking a busy session again, in milliseconds. */
export const RETRY_MS = 100;

/** The wish of one call. `session` is a JsSIP session; `later(act, ms)` and `forget(timer)` are the timers to use. */
export class Holding {
  #session;
  #later;
  #forget;
  /** Whether the call shall be on hold; null when it is as wished. */
  #wish = null;
  #timer = null;

  constructor(session, later = setTimeout, forget = clearTimeout) {
    this.#session = session;
    this.#later = (act, ms) => later(act, ms);
    this.#forget = (timer) => forget(timer);
  }

  /** Holds a call that goes on or shall go on, resumes one that is held or shall be. */
  toggle() {
    this.#wish = !(this.#wish ?? this.#isHeld());
    this.#carryOut();
  }

  /** The call is over: nothing is wished any more. */
  stop() {
    this.#forget(this.#timer);
    this.#timer = null;
    this.#wish = null;
  }

  #isHeld() {
    return this.#session.isOnHold().local;
  }

  #carryOut() {
    this.#forget(this.#timer);
    this.#timer = null;
    if (this.#wish === null) return;
    const done = this.#wish === this.#isHeld() || (this.#wish ? this.#session.hold() : this.#session.unhold());
    if (done) this.#wish = null;
    else this.#timer = this.#later(() => this.#carryOut(), RETRY_MS);
  }
}
