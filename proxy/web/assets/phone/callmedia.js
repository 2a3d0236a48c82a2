// The media of the present call: playing the far side, and the facts about transport and audio.

import { initialIce } from './facts.js';
import { judge } from './lights.js';
import { Listening } from './listening.js';
import { initialAudio, observeAudio } from './stats.js';

export class CallMedia {
  #store;
  #element;
  #sound;
  #connection = null;
  #listening = null;

  /** Levels for the meters, 0 to 1: { own, far }, null where nothing measures them. */
  levels = { own: 0, far: 0 };

  /** `element` plays the far side; `sound` lends its AudioContext to the meters. */
  constructor(store, element, sound) {
    this.#store = store;
    this.#element = element;
    this.#sound = sound;
  }

  setVolume(volume) {
    this.#element.volume = volume;
  }

  /** Plays on another device; one that is gone is replaced by the usual one. */
  async setSpeaker(id) {
    await this.#element.setSinkId?.(id ?? '').catch(() => this.#element.setSinkId(''));
  }

  /** Follows a connection that sends `stream`. */
  follow(connection, stream) {
    this.#connection = connection;
    this.levels = { own: 0, far: 0 };
    this.#store.set({ ice: initialIce(Date.now()), audio: null, playback: 'ok' });
    const on = (event, act) =>
      connection.addEventListener(event, (detail) => connection === this.#connection && act(detail));
    on('signalingstatechange', () => this.#answered());
    on('iceconnectionstatechange', () => this.#iceChanged());
    on('connectionstatechange', () => this.#transportChanged());
    on('track', ({ track, streams }) => this.#play(streams[0] ?? new MediaStream([track])));
    this.#listening = new Listening(connection, {
      sampled: (sample, heard) => this.#sampled(sample, heard),
      levels: (levels) => this.#measured(levels),
    });
    this.#listening.attach('own', stream, this.#sound.context());
  }

  /** Sends another stream in place of the one before, audible or not. */
  async replace(stream, audible) {
    const [track] = stream.getAudioTracks();
    track.enabled = audible;
    const sender = this.#connection?.getSenders().find((candidate) => candidate.track?.kind === 'audio');
    await sender?.replaceTrack(track);
    await this.#listening?.attach('own', stream, this.#sound.context());
  }

  /** The call goes on after a hold: audio is expected from here on. */
  expectAudio() {
    if (this.#store.facts.audio) this.#store.patch('audio', { since: Date.now() });
  }

  /** The far side may be played after any key press or click. */
  resumePlayback() {
    if (this.#store.facts.playback === 'blocked') this.#startElement();
  }

  /** The call is over: forgets everything but the facts behind a red light, which stay until the next call. */
  release() {
    const now = Date.now();
    const verdicts = judge(this.#store.facts, now);
    const { ice, audio } = this.#store.facts;
    this.#listening?.stop();
    this.#listening = null;
    this.#connection = null;
    this.#element.srcObject = null;
    this.levels = { own: 0, far: 0 };
    this.#store.set({
      ice: ice && verdicts.ice.state === 'red' ? { ...ice, overAt: now } : null,
      audio: audio && verdicts.audio.state === 'red' ? { ...audio, overAt: now, last: null } : null,
      playback: 'ok',
    });
  }

  #answered() {
    if (this.#connection.signalingState !== 'stable' || this.#store.facts.ice.answered) return;
    this.#store.patch('ice', { answered: true, since: Date.now() });
  }

  #iceChanged() {
    const phase = this.#connection.iceConnectionState;
    const before = this.#store.facts.ice;
    const up = (state) => ['connected', 'completed'].includes(state);
    const begins = (!up(phase) && !before.worked) || (up(phase) && up(before.phase));
    this.#store.patch('ice', { phase, since: begins ? before.since : Date.now(), worked: before.worked || up(phase) });
    this.#listening?.sampleNow();
  }

  #transportChanged() {
    const transport = this.#connection.connectionState;
    this.#store.patch('ice', { transport });
    if (transport === 'connected' && !this.#store.facts.audio) this.#store.set({ audio: initialAudio(Date.now()) });
    this.#listening?.sampleNow();
  }

  #sampled(sample, heard) {
    const { localCandidates, remoteCandidates, checksSent, checksAnswered, pair, roundTripMs } = sample;
    this.#store.patch('ice', { localCandidates, remoteCandidates, checksSent, checksAnswered, pair, roundTripMs });
    const { audio } = this.#store.facts;
    if (audio) this.#store.set({ audio: observeAudio(audio, sample, Date.now(), heard) });
  }

  /** Analysers are finer; the counters stand in where none runs. */
  #measured({ own, far }) {
    const { audio } = this.#store.facts;
    this.levels = { own: own ?? (audio?.ownMeasured ? audio.ownLevel : null), far: far ?? audio?.farLevel ?? 0 };
    this.#store.touch();
  }

  #play(stream) {
    this.#element.srcObject = stream;
    this.#startElement();
    this.#listening?.attach('far', stream, this.#sound.context());
  }

  async #startElement() {
    try {
      await this.#element.play();
      this.#store.set({ playback: 'ok' });
    } catch (error) {
      if (error.name === 'NotAllowedError') this.#store.set({ playback: 'blocked' });
    }
  }
}
