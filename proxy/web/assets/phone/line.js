// The line to the server: the WebSocket, the registration over it, and the sessions that come and go.

import { UA, WebSocketInterface } from './vendor/jssip-3.13.8.js';
import { probe } from './api.js';

/** Longest pause between attempts to open the WebSocket again, in seconds. */
const RECONNECT_MAX_S = 8;
/** Pauses before the registration is tried again, in milliseconds; the last one repeats. */
const RETRY_MS = [2000, 5000, 10000, 30000];
/** A WebSocket that takes longer than this to open is looked into by plain HTTP, in milliseconds. */
const SLOW_MS = 3000;
/** Answers to REGISTER that stay the same until a person does something. */
const FINAL_CODES = [401, 403, 404, 407, 423];

/**
 * One signed-in user on one WebSocket.
 *
 * `hooks`: socket(patch), registration(patch): the facts changed; incoming(session): somebody calls;
 * rejected(code): the server will not accept this user.
 */
export class Line {
  #ua;
  #hooks;
  #sipPath;
  #user;
  #failures = 0;
  #retryTimer = null;
  #slowTimer = null;
  #opened = false;
  #over = false;

  constructor({ url, sipPath, site, user, instanceId, hooks }) {
    const whileUsed = (hook) => (value) => this.#over || hook(value);
    this.#hooks = Object.fromEntries(Object.entries(hooks).map(([name, hook]) => [name, whileUsed(hook)]));
    this.#sipPath = sipPath;
    this.#user = user.name;
    this.#ua = new UA({
      sockets: [new WebSocketInterface(url)],
      uri: `sip:${encodeURIComponent(user.name)}@${site}`,
      authorization_user: this.#user,
      password: user.password,
      display_name: user.displayName,
      instance_id: instanceId,
      register: true,
      register_expires: 600,
      connection_recovery_max_interval: RECONNECT_MAX_S,
      // The relay ends calls without media, so refreshing each call every 45 seconds would only add a way to fail.
      session_timers: false,
    });
    this.#listen(url);
  }

  start() {
    this.#hooks.registration({ phase: 'trying', since: Date.now(), user: this.#user, failure: null });
    this.#ua.start();
  }

  /**
   * Says goodbye: BYE or CANCEL for every call, then the removal of the registration. All of it is handed to the
   * WebSocket before this returns, so it also works while the page is being closed.
   */
  stop() {
    this.#over = true;
    this.#forgetRetry();
    clearTimeout(this.#slowTimer);
    this.#ua.stop();
  }

  /** Starts a call; `stream` is the own audio. */
  call(number, options) {
    return this.#ua.call(number, options);
  }

  /** Tries at once what is otherwise tried after a pause, for example when the network came back. */
  hurry() {
    if (this.#over) return;
    if (!this.#ua.isConnected()) this.#ua.transport.connect();
    else if (this.#retryTimer !== null) this.#register();
  }

  #listen(url) {
    const { socket, registration, incoming } = this.#hooks;
    this.#ua.on('connecting', () => {
      socket({ phase: 'connecting', since: Date.now(), url });
      clearTimeout(this.#slowTimer);
      this.#slowTimer = setTimeout(() => this.#probe(), SLOW_MS);
    });
    this.#ua.on('connected', () => {
      clearTimeout(this.#slowTimer);
      this.#opened = true;
      socket({ phase: 'open', since: Date.now(), close: null, probe: null });
      registration({ phase: 'trying', since: Date.now(), user: this.#user, failure: null });
    });
    this.#ua.on('disconnected', ({ code = 1006 }) => this.#disconnected(code));
    this.#ua.on('registered', () => {
      this.#failures = 0;
      registration({ phase: 'registered', since: Date.now(), user: this.#user, failure: null });
    });
    this.#ua.on('unregistered', () => {
      registration({ phase: 'trying', since: Date.now() });
    });
    this.#ua.on('registrationFailed', (event) => this.#registrationFailed(event));
    this.#ua.on('newRTCSession', ({ originator, session }) => {
      if (originator === 'remote') incoming(session);
    });
  }

  #disconnected(code) {
    clearTimeout(this.#slowTimer);
    this.#forgetRetry();
    const wasOpen = this.#opened;
    this.#opened = false;
    const close = { code, wasOpen, at: Date.now() };
    // A connection that worked until now gets a fresh look; between attempts the last finding stays on show.
    this.#hooks.socket(wasOpen ? { phase: 'closed', close, probe: null } : { phase: 'closed', close });
    if (!this.#over) this.#probe();
  }

  async #probe() {
    const result = await probe(this.#sipPath);
    if (!this.#opened) this.#hooks.socket({ probe: result });
  }

  #registrationFailed({ response, cause }) {
    if (this.#over) return;
    const code = response?.status_code ?? null;
    const final = FINAL_CODES.includes(code);
    const wait = (Number.parseInt(response?.getHeader('retry-after'), 10) || 0) * 1000;
    const pause = Math.max(wait, RETRY_MS[Math.min(this.#failures, RETRY_MS.length - 1)]);
    this.#failures += 1;
    this.#hooks.registration({
      phase: 'failed',
      since: Date.now(),
      failure: {
        code,
        cause,
        reason: response?.reason_phrase ?? '',
        algorithms: algorithms(response),
        retryAt: final ? null : Date.now() + pause,
      },
    });
    if (final) this.#hooks.rejected(code);
    else if (this.#ua.isConnected()) this.#retryTimer = setTimeout(() => this.#register(), pause);
  }

  #register() {
    this.#forgetRetry();
    this.#hooks.registration({ phase: 'trying', since: Date.now() });
    this.#ua.register();
  }

  #forgetRetry() {
    clearTimeout(this.#retryTimer);
    this.#retryTimer = null;
  }
}

/** The digest algorithms that a challenge offers (RFC 8760 section 2.3). */
function algorithms(response) {
  if (![401, 407].includes(response?.status_code)) return [];
  return ['www-authenticate', 'proxy-authenticate']
    .flatMap((name) => response.getHeaders(name))
    .map((challenge) => /algorithm="?([\w-]+)/i.exec(challenge)?.[1] ?? 'MD5');
}
