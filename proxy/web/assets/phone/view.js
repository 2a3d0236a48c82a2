// The page: draws the model and turns clicks and keys into what the phone can do. Decides nothing.

import { duration, party } from './format.js';
import { keyAction } from './keys.js';
import { LIGHTS } from './lights.js';
import { meter } from './stats.js';

const CALL_STATES = {
  calling: 'Calling…',
  ringing: 'Ringing…',
  incoming: 'is calling you',
  answering: 'Answering…',
  active: 'Connected',
};

const DEMO_IS_FULL = 'All demo users are in use. Close the page in another browser, or sign in as another user.';

export class View {
  #document;
  #phone = null;
  #model = null;
  #said = {}; // what was last written where, so that unchanged parts are left alone
  #notification = null;

  constructor(document) {
    this.#document = document;
    this.farAudio = this.#element('far-audio');
  }

  /** Listens to the user on behalf of `phone`. */
  connect(phone) {
    this.#phone = phone;
    const on = (target, event, act) => target.addEventListener(event, act);
    on(this.#document, 'click', (event) => this.#clicked(event));
    on(this.#document, 'keydown', (event) => this.#pressed(event));
    on(this.#element('sign-in'), 'submit', (event) => this.#signIn(event));
    on(this.#element('volume'), 'input', ({ target }) => phone.prefer({ volume: target.valueAsNumber / 100 }));
    on(this.#element('key-tones'), 'change', ({ target }) => phone.prefer({ keyTones: target.checked }));
    on(this.#element('microphone'), 'change', ({ target }) => phone.prefer({ microphone: target.value || null }));
    on(this.#element('speaker'), 'change', ({ target }) => phone.prefer({ speaker: target.value || null }));
  }

  render(model) {
    const focus = this.#nextFocus(model);
    this.#model = model;
    this.#lights(model);
    this.#trouble(model);
    this.#explanation(model);
    this.#accountBar(model);
    this.#signInForm(model);
    this.#idle(model);
    this.#call(model);
    this.#pad(model);
    this.#sound(model);
    this.#deskPhone(model);
    this.#announce(model);
    focus?.focus({ preventScroll: true });
  }

  // Drawing. Every helper leaves alone what is already as it should be.

  #lights({ verdicts, explained }) {
    for (const { name, label } of LIGHTS) {
      const { state, code, summary } = verdicts[name];
      const button = this.#document.querySelector(`[data-light="${name}"]`);
      this.#attribute(button, 'data-state', state);
      this.#attribute(button, 'data-code', code);
      this.#attribute(button, 'aria-expanded', String(explained === name));
      this.#attribute(button, 'title', `${label}: ${summary}`);
      this.#write(button.querySelector('.light-text'), `: ${summary}`);
    }
  }

  #trouble({ trouble, verdicts, explained }) {
    const shown = trouble !== null && explained === null;
    this.#show('trouble', shown);
    if (!shown) return;
    const { label } = LIGHTS.find(({ name }) => name === trouble);
    this.#attribute(this.#element('trouble'), 'data-state', verdicts[trouble].state);
    this.#write('trouble-text', `${label}: ${verdicts[trouble].summary}.`);
  }

  #explanation({ explained, verdicts }) {
    const panel = this.#element('explanation');
    const opened = explained !== null && this.#said.explained !== explained;
    this.#said.explained = explained;
    this.#show('explanation', explained !== null);
    if (explained === null) return;
    const verdict = verdicts[explained];
    const { label } = LIGHTS.find(({ name }) => name === explained);
    this.#attribute(panel, 'data-state', verdict.state);
    this.#attribute(panel, 'data-explains', explained);
    this.#write('explanation-title', `${label}: ${verdict.summary}`);
    this.#write('explanation-seen', verdict.seen);
    this.#write('explanation-means', verdict.means);
    this.#write('explanation-advice', verdict.advice);
    this.#show('explanation-advice-term', verdict.advice !== '');
    this.#show('explanation-advice', verdict.advice !== '');
    this.#write('explanation-code', verdict.code);
    const link = this.#element('explanation-link');
    this.#show('explanation-link', verdict.link !== null);
    if (verdict.link) {
      this.#attribute(link, 'href', verdict.link.href);
      this.#write(link, verdict.link.text);
    }
    if (opened) panel.focus();
  }

  #accountBar({ user, canSignOut, site }) {
    this.#write('site', site);
    this.#show('account', user !== null);
    this.#attribute(this.#element('account'), 'data-user', user?.name ?? '');
    this.#write('account-name', user ? party(user.name, user.displayName) : '');
    this.#show('sign-out', canSignOut);
  }

  #signInForm({ signIn, verdicts, present }) {
    const shown = Boolean(signIn) && !present;
    const appeared = shown && this.#element('sign-in').hidden;
    this.#show('sign-in', shown);
    if (!shown) return;
    this.#show('sign-in-problem', signIn.refused);
    if (signIn.refused) this.#write('sign-in-problem', `${verdicts.registered.seen} ${verdicts.registered.advice}`);
    if (signIn.demo) this.#write('sign-in-hint', DEMO_IS_FULL);
    if (appeared) this.#element('sign-in-user').focus();
  }

  #idle({ present, signIn, canCall, echo, directory, last, notice }) {
    this.#show('idle-panel', !present && !signIn);
    this.#attribute(this.#element('call-echo'), 'aria-disabled', String(!canCall));
    const entry = directory.find(({ number }) => number === echo);
    this.#write('call-echo-note', `hear yourself, dials ${entry?.number ?? echo}`);
    this.#directory(
      directory.filter(({ number }) => number !== echo),
      canCall,
    );
    const row = this.#element('last-call');
    this.#show('last-call', last !== null && !present);
    if (last) {
      this.#attribute(row, 'data-kind', last.kind);
      const length = last.durationMs === null ? '' : ` · ${duration(last.durationMs)}`;
      this.#write(row, `${party(last.number, last.name)}${length} · ${last.text}`);
    }
    this.#show('notice', notice !== null);
    this.#write('notice', notice ?? '');
  }

  #directory(entries, canCall) {
    const list = this.#element('directory');
    const key = JSON.stringify(entries.map(({ number, label }) => [number, label]));
    if (this.#said.directory !== key) {
      this.#said.directory = key;
      list.replaceChildren(...entries.map((entry) => this.#directoryRow(entry)));
    }
    this.#show('directory-title', entries.length > 0);
    entries.forEach(({ label, number, registered }, index) => {
      const button = list.children[index].firstElementChild;
      const state = registered === null ? 'service' : registered ? 'registered' : 'away';
      const words = { service: '', registered: ', registered', away: ', not registered' }[state];
      this.#attribute(button, 'data-registered', registered === null ? 'service' : String(registered));
      this.#attribute(button, 'aria-label', `Call ${label}, ${number}${words}`);
      this.#attribute(button, 'aria-disabled', String(!canCall));
    });
  }

  #directoryRow({ number, label }) {
    const make = (tag, className, text = '') => {
      const element = this.#document.createElement(tag);
      element.className = className;
      element.textContent = text;
      return element;
    };
    const button = make('button', 'entry');
    button.type = 'button';
    button.dataset.action = 'dial';
    button.dataset.number = number;
    button.append(
      make('span', 'lamp'),
      make('span', 'entry-name', label),
      make('span', 'entry-number', number),
      make('span', 'icon icon-phone'),
    );
    const item = this.#document.createElement('li');
    item.append(button);
    return item;
  }

  #call({ present, facts, now, levels }) {
    const { phase, heldHere, heldThere, muted } = facts.call;
    const state = phase === 'active' && heldHere ? 'held' : phase;
    this.#attribute(this.#document.body, 'data-call', state);
    this.#show('call-panel', present !== null);
    this.#title(present, state, now);
    if (!present) return;
    this.#write('peer-name', party(present.number, present.name));
    const words = heldHere ? 'On hold' : heldThere ? 'Far side is holding' : CALL_STATES[phase];
    const waiting = phase === 'calling' && present.call === null;
    this.#write('call-state', waiting ? 'Waiting for the microphone…' : words);
    this.#write('timer', present.activeSince === null ? '' : duration(now - present.activeSince));
    const active = phase === 'active';
    this.#show('meters', active);
    this.#show('answer', phase === 'incoming');
    this.#show('decline', phase === 'incoming');
    this.#show('hangup', phase !== 'incoming');
    this.#show('mute', active);
    this.#show('hold', active);
    this.#toggle('mute', muted, 'Muted', 'Mute');
    this.#toggle('hold', heldHere, 'Resume', 'Hold');
    this.#meters(facts, levels, muted);
  }

  /** Where the keyboard focus goes when a call panel comes or goes: asked before anything is hidden. */
  #nextFocus({ present }) {
    const panel = this.#element('call-panel');
    const { activeElement, body } = this.#document;
    if (panel.hidden && present?.direction === 'outgoing') {
      this.#said.before = activeElement === body ? null : activeElement;
      return panel;
    }
    if (panel.hidden || present) return null;
    const lost = panel.contains(activeElement) || activeElement === body;
    return lost ? this.#said.before : null;
  }

  #meters({ audio, ice, call }, levels, muted) {
    const silent = call.heldHere;
    this.#level('meter-own', muted || silent ? 0 : (levels.own ?? 0));
    this.#level('meter-far', levels.far);
    this.#write(
      'meter-own-text',
      muted ? 'muted' : silent ? 'on hold' : levels.own === null && audio ? 'not measured' : '',
    );
    this.#write('meter-far-text', call.heldThere ? 'holding' : '');
    const parts = [
      audio?.codec,
      ice?.roundTripMs == null ? null : `${ice.roundTripMs} ms`,
      audio?.lossPercent == null ? null : `${audio.lossPercent.toFixed(1)} % lost`,
      audio?.jitterMs == null ? null : `jitter ${audio.jitterMs} ms`,
    ];
    this.#write('quality', parts.filter(Boolean).join(' · '));
  }

  #level(id, level) {
    this.#element(id).style.setProperty('--level', meter(level).toFixed(3));
  }

  #toggle(id, on, onText, offText) {
    const button = this.#element(id);
    this.#attribute(button, 'aria-pressed', String(on));
    this.#write(button.querySelector('.round-name'), on ? onText : offText);
  }

  #pad({ present, facts, canCall }) {
    const active = facts.call.phase === 'active';
    this.#show('number-row', !present);
    this.#show('call', !present);
    this.#attribute(this.#element('call'), 'aria-disabled', String(!canCall));
    this.#attribute(this.#element('pad'), 'data-active', String(active || !present));
    this.#show('sent-digits', Boolean(present?.digits));
    this.#write('sent-digits', present?.digits ?? '');
  }

  #sound({ devices, preferences }) {
    this.#choices('microphone', devices.microphones, preferences.microphone);
    this.#choices('speaker', 'setSinkId' in this.farAudio ? devices.speakers : [], preferences.speaker);
    if (this.#said.preferences) return;
    this.#said.preferences = true;
    this.#element('volume').value = String(Math.round(preferences.volume * 100));
    this.#element('key-tones').checked = preferences.keyTones;
  }

  #choices(id, devices, chosen) {
    this.#show(`${id}-field`, devices.length > 1);
    const key = JSON.stringify([devices, chosen]);
    if (this.#said[id] === key) return;
    this.#said[id] = key;
    const usual = devices.some((device) => device.id === 'default') ? [] : [{ id: '', label: 'Usual device' }];
    const options = [...usual, ...devices].map((device) => {
      const option = this.#document.createElement('option');
      option.value = device.id;
      option.textContent = device.label;
      option.selected = device.id === chosen;
      return option;
    });
    this.#element(id).replaceChildren(...options);
  }

  #deskPhone({ deskPhone, deskPhoneRegistered }) {
    this.#show('desk-phone', deskPhone !== null);
    if (!deskPhone) return;
    this.#write('desk-server', `${deskPhone.server} port ${deskPhone.port}, ${deskPhone.transport}`);
    this.#write('desk-user', deskPhone.user);
    this.#write('desk-password', deskPhone.password);
    this.#write(
      'desk-state',
      deskPhoneRegistered ? `Registered: call it by dialling ${deskPhone.user}.` : 'Not registered yet.',
    );
  }

  #title(present, state, now) {
    const who = present && party(present.number, present.name);
    const incoming = state === 'incoming';
    const time = present?.activeSince == null ? '' : `${duration(now - present.activeSince)} `;
    this.#document.title = !present ? 'Viaduct phone' : incoming ? `Call from ${who}` : `${time}${who} – Viaduct phone`;
    if (incoming === (this.#notification !== null)) return;
    this.#notification?.close?.();
    this.#notification = incoming ? this.#notify(who) : null;
  }

  /** A notification by the system, if the user has allowed it before; the page never asks. */
  #notify(who) {
    if (
      !('Notification' in window) ||
      Notification.permission !== 'granted' ||
      this.#document.visibilityState === 'visible'
    )
      return {};
    const notification = new Notification('Incoming call', {
      body: who,
      icon: '/phone/icons/viaduct.svg',
      tag: 'viaduct-call',
    });
    notification.addEventListener('click', () => window.focus());
    return notification;
  }

  #announce({ present, facts, last, verdicts }) {
    const { phase, heldHere, muted } = facts.call;
    const who = present && party(present.number, present.name);
    this.#write(
      'alarm',
      phase === 'incoming' ? `${who} is calling you. Press Enter to answer, Escape to decline.` : '',
    );
    const words = [];
    if (present && phase !== 'incoming') words.push(`${CALL_STATES[phase]} ${who}`);
    if (heldHere) words.push('on hold');
    if (muted) words.push('muted');
    if (!present && last) words.push(`Call ended. ${last.text}`);
    if (phase === 'active' && verdicts.audio.state === 'green') words.push('audio both ways');
    this.#write('announcer', words.join(', '));
  }

  // Listening.

  #clicked(event) {
    this.#phone.touched();
    const target = event.target.closest?.('[data-action]');
    if (!target) return;
    const phone = this.#phone;
    const actions = {
      answer: () => phone.answer(),
      backspace: () => this.#backspace(),
      call: () => this.#dialTyped(),
      'call-echo': () => phone.callEcho(),
      'close-explanation': () => phone.closeExplanation(),
      decline: () => phone.hangUp(),
      dial: () => phone.dial(target.dataset.number),
      digit: () => this.#digit(target.dataset.digit),
      explain: () => phone.explain(target.dataset.light),
      hangup: () => phone.hangUp(),
      hold: () => phone.toggleHold(),
      mute: () => phone.toggleMute(),
      'sign-out': () => phone.signOut(),
      why: () => phone.explainTrouble(),
    };
    actions[target.dataset.action]();
  }

  #pressed(event) {
    this.#phone.touched();
    const press = {
      key: event.key,
      modified: event.ctrlKey || event.altKey || event.metaKey || event.isComposing,
      repeat: event.repeat,
      target: this.#focused(event.target),
    };
    const decided = this.#model && keyAction(press, this.#model.facts.call.phase, this.#model.explained !== null);
    if (!decided) return;
    event.preventDefault();
    const phone = this.#phone;
    const actions = {
      answer: () => phone.answer(),
      call: () => this.#dialTyped(),
      closePanel: () => this.#closeExplanation(),
      decline: () => phone.hangUp(),
      digit: () => this.#digit(decided.digit),
      hangup: () => phone.hangUp(),
      hold: () => phone.toggleHold(),
      mute: () => phone.toggleMute(),
    };
    actions[decided.action]();
  }

  #focused(element) {
    if (element.id === 'number') return 'number';
    if (element.matches('input:not([type=range], [type=checkbox]), textarea')) return 'text';
    if (!element.matches('button, a, summary, select, input')) return 'page';
    return this.#element('call-panel').contains(element) ? 'callControl' : 'control';
  }

  #closeExplanation() {
    const light = this.#model.explained;
    this.#phone.closeExplanation();
    this.#document.querySelector(`[data-light="${light}"]`)?.focus();
  }

  #digit(digit) {
    this.#phone.keyTone(digit);
    if (this.#model?.present) {
      this.#phone.sendDigit(digit);
      return;
    }
    const field = this.#element('number');
    const at =
      this.#document.activeElement === field ? (field.selectionStart ?? field.value.length) : field.value.length;
    field.setRangeText(digit, at, at, 'end');
  }

  #backspace() {
    const field = this.#element('number');
    field.value = field.value.slice(0, -1);
  }

  #dialTyped() {
    const field = this.#element('number');
    if (field.value.trim() === '') field.focus();
    else this.#phone.dial(field.value);
  }

  #signIn(event) {
    event.preventDefault();
    const { user, password } = event.target.elements;
    this.#phone.signIn(user.value.trim(), password.value);
    password.value = '';
  }

  // Helpers.

  #element(id) {
    return this.#document.getElementById(id);
  }

  #show(id, shown) {
    const element = this.#element(id);
    if (element.hidden === shown) element.hidden = !shown;
  }

  #write(target, text) {
    const element = typeof target === 'string' ? this.#element(target) : target;
    if (element.textContent !== text) element.textContent = text;
  }

  #attribute(element, name, value) {
    if (element.getAttribute(name) !== value) element.setAttribute(name, value);
  }
}
