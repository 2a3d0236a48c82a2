// Who uses this phone: the settings from the server, signing in and out, and the directory.

import { loadPeople, loadSettings } from './api.js';
import { initialFacts } from './facts.js';
import { Line } from './line.js';
import { forgetUser, instanceId, lastUser, rememberUser } from './memory.js';
import { directory } from './settings.js';

/** How soon settings that could not be loaded are asked for again, in milliseconds. */
const RETRY_MS = 3000;
/** How often the lamps of the directory are refreshed while the page is visible, in milliseconds. */
const PEOPLE_MS = 5000;

export class Account {
  #store;
  #incoming;
  #people = [];

  /** The line of the signed-in user, or null. */
  line = null;
  /** The settings of the page, or null while they are not loaded. */
  settings = null;
  /** The signed-in user: { name, password, displayName }, or null. */
  user = null;
  /** Whether the server did not accept the user, so that signing in by hand is the way out. */
  refused = false;

  /** `incoming(session)`: somebody calls. */
  constructor(store, incoming) {
    this.#store = store;
    this.#incoming = incoming;
  }

  async start() {
    addEventListener('online', () => this.line?.hurry());
    document.addEventListener('visibilitychange', () => this.#visible());
    setInterval(() => this.#refreshPeople(), PEOPLE_MS);
    await this.#loadSettings();
  }

  /** The numbers to choose from: [{ number, label, registered }]. */
  get directory() {
    return this.settings ? directory(this.settings.dial, this.#people, this.user?.name) : [];
  }

  /** Whether the desk phone of the settings is registered. */
  get deskPhoneRegistered() {
    return this.#people.some(({ user, registered }) => registered && user === this.settings?.deskPhone?.user);
  }

  /** The name that belongs to a number, or an empty text. */
  nameOf(number) {
    return this.directory.find((entry) => entry.number === number)?.label ?? '';
  }

  signIn(name, password) {
    rememberUser({ name, password });
    this.#connect({ name, password, displayName: name });
  }

  signOut() {
    forgetUser();
    this.#disconnect();
  }

  /** The page goes away. */
  leave() {
    this.line?.stop();
  }

  /** The page stayed after all. */
  resume() {
    if (this.user) this.#connect(this.user);
  }

  async #loadSettings() {
    try {
      this.settings = await loadSettings(lastUser()?.name);
    } catch ({ kind, status }) {
      this.#store.patch('page', { phase: 'failed', error: { kind, status } });
      setTimeout(() => this.#loadSettings(), RETRY_MS);
      return;
    }
    const { httpsPort, udpPort } = this.settings;
    const insecure = httpsPort !== null && location.protocol === 'http:';
    this.#store.patch('page', { phase: 'ready', error: null });
    this.#store.patch('environment', {
      udpPort,
      httpsUrl: insecure ? `https://${location.hostname}:${httpsPort}${location.pathname}` : null,
    });
    this.#connectKnownUser();
    this.#refreshPeople();
  }

  #connectKnownUser() {
    const remembered = lastUser();
    if (this.settings.user) {
      rememberUser({ name: this.settings.user.name });
      this.#connect(this.settings.user);
    } else if (remembered?.password) {
      this.#connect({ ...remembered, displayName: remembered.name });
    }
  }

  #connect(user) {
    this.#disconnect();
    this.user = user;
    const { site, sipPath } = this.settings;
    const url = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}${sipPath}`;
    const hooks = {
      socket: (patch) => this.#store.patch('socket', patch),
      registration: (patch) => this.#store.patch('registration', patch),
      incoming: this.#incoming,
      rejected: () => this.#rejected(),
    };
    this.line = new Line({ url, sipPath, site, user, instanceId: instanceId(), hooks });
    this.line.start();
  }

  #disconnect() {
    this.line?.stop();
    this.line = null;
    this.user = null;
    this.refused = false;
    const { socket, registration } = initialFacts(Date.now());
    this.#store.set({ socket, registration });
  }

  /** A server that hands out users may have others by now; a person has to sign in again. */
  async #rejected() {
    const tried = this.user;
    if (!this.settings.user) {
      this.refused = true;
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    const fresh = await loadSettings(tried.name).catch(() => null);
    const changed = fresh?.user && (fresh.user.name !== tried.name || fresh.user.password !== tried.password);
    if (!changed || this.user !== tried) return;
    this.settings = fresh;
    this.#connectKnownUser();
  }

  async #refreshPeople() {
    if (document.visibilityState !== 'visible' || !this.settings) return;
    this.#people = await loadPeople().catch(() => this.#people);
    this.#store.touch();
  }

  #visible() {
    if (document.visibilityState !== 'visible') return;
    this.line?.hurry();
    this.#refreshPeople();
  }
}
