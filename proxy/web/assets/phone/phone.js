// The phone: joins account, calls, media and sound, and says what is to be shown.

import { Account } from './account.js';
import { CallMedia } from './callmedia.js';
import { Desk } from './desk.js';
import { dialable } from './format.js';
import { firstTrouble, judge } from './lights.js';
import { preferences, rememberPreferences } from './memory.js';
import { listDevices, watchPermission } from './microphone.js';
import { Sound } from './sound.js';
import { Store } from './store.js';

/** The number of the echo service. */
const ECHO = '100';
/** How often the lights are judged anew, since some of them depend on time alone, in milliseconds. */
const TICK_MS = 250;
/** How long a page that was about to be left may go on before it connects again, in milliseconds. */
const RESUME_MS = 3000;

export class Phone {
  #store = new Store(() => this.#draw());
  #sound = new Sound();
  #preferences = preferences();
  #devices = { microphones: [], speakers: [] };
  #explained = null; // name of the light whose explanation is open
  #show;
  #media;
  #account;
  #desk;

  /** `show(model)` draws; `farAudio` is the element that plays the far side. */
  constructor(show, farAudio) {
    this.#show = show;
    this.#media = new CallMedia(this.#store, farAudio, this.#sound);
    this.#account = new Account(this.#store, (session) => this.#desk.ring(session));
    this.#desk = new Desk(this.#store, this.#account, this.#media, this.#sound, () => this.#preferences);
  }

  start() {
    this.#store.patch('environment', environment());
    this.#media.setVolume(this.#preferences.volume);
    this.#media.setSpeaker(this.#preferences.speaker);
    watchPermission((microphone) => {
      this.#store.set({ microphone });
      this.#refreshDevices();
    });
    navigator.mediaDevices?.addEventListener?.('devicechange', () => this.#refreshDevices());
    this.#refreshDevices();
    this.#watchLeaving();
    setInterval(() => this.#draw(), TICK_MS);
    this.#account.start();
  }

  // What the user does. Each is safe to call in any state.

  callEcho() {
    return this.dial(ECHO);
  }

  async dial(typed) {
    if (this.#desk.present || typed.trim() === '') return;
    const number = dialable(typed);
    if (number === null) {
      this.#desk.note(`“${typed.trim()}” cannot be dialled.`);
    } else if (!this.#canCall()) {
      this.#open(firstTrouble(this.#verdicts()) ?? 'registered');
    } else {
      this.#explained = null;
      await this.#desk.dial(number);
      this.#refreshDevices();
      if (this.#verdicts().audio.code.startsWith('audio-mic')) this.#open('audio');
    }
  }

  answer() {
    return this.#desk.answer();
  }

  /** Hangs up, cancels or declines. */
  hangUp() {
    this.#desk.hangUp();
  }

  toggleMute() {
    this.#desk.toggleMute();
  }

  toggleHold() {
    this.#desk.toggleHold();
  }

  /** A digit during a call. */
  sendDigit(digit) {
    this.#desk.sendDigit(digit);
  }

  /** The sound of a key, if it is wanted. */
  keyTone(digit) {
    if (this.#preferences.keyTones) this.#sound.key(digit);
  }

  signIn(name, password) {
    this.#account.signIn(name, password);
  }

  signOut() {
    this.#account.signOut();
  }

  /** Opens the explanation of a light, or closes it if it is open. */
  explain(light) {
    this.#open(this.#explained === light ? null : light);
  }

  explainTrouble() {
    this.#open(firstTrouble(this.#verdicts()));
  }

  closeExplanation() {
    this.#open(null);
  }

  /** Changes preferences: { volume, keyTones, microphone, speaker }, any of them. */
  prefer(values) {
    this.#preferences = { ...this.#preferences, ...values };
    rememberPreferences(this.#preferences);
    if ('volume' in values) this.#media.setVolume(values.volume);
    if ('speaker' in values) this.#media.setSpeaker(values.speaker);
    if ('microphone' in values) this.#desk.changeMicrophone();
    this.#store.touch();
  }

  /** Any key press or click: browsers allow sound only after one. */
  touched() {
    this.#sound.wake();
    this.#media.resumePlayback();
  }

  // What is shown.

  #draw() {
    const { facts } = this.#store;
    const now = Date.now();
    const verdicts = judge(facts, now);
    const { settings, user, refused } = this.#account;
    const { present } = this.#desk;
    this.#show({
      now,
      facts,
      verdicts,
      trouble: firstTrouble(verdicts),
      explained: this.#explained,
      site: settings?.site ?? '',
      user,
      canSignOut: user !== null && !settings?.user,
      signIn: settings !== null && !settings.user && (user === null || refused) && { refused, demo: settings.demo },
      canCall: this.#canCall(),
      directory: this.#account.directory,
      echo: ECHO,
      deskPhone: settings?.deskPhone ?? null,
      deskPhoneRegistered: this.#account.deskPhoneRegistered,
      present,
      levels: this.#media.levels,
      last: this.#desk.last,
      notice: this.#desk.notice,
      devices: this.#devices,
      preferences: this.#preferences,
    });
  }

  /** Ends calls and registration with the page. */
  #watchLeaving() {
    addEventListener('pagehide', () => this.#account.leave());
    // Firefox closes the WebSocket before `pagehide`. A navigation may also come to nothing, a download for one.
    addEventListener('beforeunload', () => {
      this.#account.leave();
      setTimeout(() => this.#account.resume(), RESUME_MS);
    });
    // A page that comes back from the browser's page cache has lost its connections.
    addEventListener('pageshow', ({ persisted }) => persisted && location.reload());
  }

  #verdicts() {
    return judge(this.#store.facts, Date.now());
  }

  #canCall() {
    const {
      registration,
      socket,
      environment: { mediaDevices, webrtc },
    } = this.#store.facts;
    return socket.phase === 'open' && registration.phase === 'registered' && mediaDevices && webrtc;
  }

  #open(light) {
    this.#explained = light;
    this.#store.touch();
  }

  async #refreshDevices() {
    this.#devices = await listDevices();
    this.#store.touch();
  }
}

/** What this browser allows at this address. */
function environment() {
  return {
    secure: window.isSecureContext,
    mediaDevices: Boolean(navigator.mediaDevices?.getUserMedia),
    webrtc: 'RTCPeerConnection' in window,
    host: location.host,
    appleBrowser: /^Apple/.test(navigator.vendor ?? ''),
  };
}
