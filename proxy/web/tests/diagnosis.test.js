// Each verdict of each light is one row here: what was observed, and what the light makes of it.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { LIGHTS, firstTrouble, judge } from '../assets/phone/lights.js';
import { initialFacts, initialIce } from '../assets/phone/facts.js';
import { initialAudio } from '../assets/phone/stats.js';
import { NOW, ago, callFacts, idleFacts, with_ } from './support.js';

const idle = idleFacts();
const talking = callFacts();

const page = (fields) => with_(idle, { page: { since: ago(1000), ...fields } });
const pageError = (kind, status = 0) => page({ phase: 'failed', error: { kind, status } });

const socket = (fields) => with_(idle, { socket: { phase: 'closed', since: ago(1000), ...fields } });
const close = (code, wasOpen = false, at = ago(1000)) => ({ code, wasOpen, at });
const probe = (health, sip, online = true) => ({ online, health, sip, at: NOW });
const refused = (sip) => socket({ close: close(1006), probe: probe(200, sip) });

const registering = (fields) => with_(idle, { registration: { since: ago(1000), ...fields } });
const rejected = (code, more = {}) =>
  registering({
    phase: 'failed',
    failure: { code, cause: 'Rejected', reason: 'Because', algorithms: [], retryAt: null, ...more },
  });

const ice = (fields) =>
  with_(
    { ...talking, ice: { ...initialIce(ago(1000)), answered: true, localCandidates: 1, remoteCandidates: 1 } },
    { ice: fields },
  );
const hopeless = (fields) => ice({ phase: 'checking', since: ago(9000), checksSent: 20, ...fields });

const audio = (fields) => with_(talking, { audio: fields });
const quiet = { receivedAt: ago(4000) };
const still = { sentAt: ago(4000) };

const TABLE = {
  page: [
    ['page-loading', 'amber', initialFacts(ago(500))],
    ['page-slow', 'amber', initialFacts(ago(5000))],
    ['page-ready', 'green', idle],
    ['page-unreachable', 'red', pageError('network')],
    ['page-error', 'red', pageError('http', 500)],
    ['page-format', 'red', pageError('format', 200)],
  ],
  websocket: [
    ['ws-idle', 'grey', socket({ phase: 'idle' })],
    ['ws-connecting', 'amber', socket({ phase: 'connecting' })],
    ['ws-slow', 'amber', socket({ phase: 'connecting', since: ago(5000) })],
    ['ws-open', 'green', idle],
    ['ws-looking', 'amber', socket({ close: close(1006) })],
    ['ws-offline', 'red', socket({ close: close(1006), probe: probe(0, 0, false) })],
    ['ws-unreachable-tls', 'red', socket({ close: close(1006), probe: probe(0, 0) })],
    ['ws-unreachable', 'red', socket({ url: 'ws://localhost:8080/sip', close: close(1006), probe: probe(0, 0) })],
    [
      'ws-unreachable',
      'red',
      socket({ url: 'ws://localhost:8080/sip', close: close(1006, true, ago(100)), probe: probe(0, 0) }),
    ],
    ['ws-backend', 'red', socket({ close: close(1006), probe: probe(502, 502) })],
    ['ws-backend', 'red', refused(503)],
    ['ws-not-gateway', 'red', socket({ close: close(1006), probe: probe(404, 404) })],
    ['ws-policy', 'red', socket({ close: close(1008, true), probe: probe(200, 426) })],
    ['ws-busy', 'red', socket({ close: close(1013, true), probe: probe(200, 426) })],
    ['ws-protocol', 'red', socket({ close: close(1002, true), probe: probe(200, 426) })],
    ['ws-protocol', 'red', socket({ close: close(1009, true), probe: probe(200, 426) })],
    ['ws-restarting', 'amber', socket({ close: close(1001, true), probe: null })],
    ['ws-restarting', 'amber', socket({ close: close(1012, true), probe: probe(200, 426) })],
    ['ws-dropped', 'amber', socket({ close: close(1006, true), probe: null })],
    ['ws-refused', 'red', socket({ close: close(1006, true, ago(9000)), probe: probe(200, 426) })],
    ['ws-origin', 'red', refused(403)],
    ['ws-origin', 'red', refused(401)],
    ['ws-path', 'red', refused(404)],
    ['ws-upgrade', 'red', refused(426)],
    ['ws-upgrade', 'red', refused(400)],
    ['ws-certificate', 'red', with_(refused(426), { environment: { appleBrowser: true } })],
    [
      'ws-upgrade',
      'red',
      with_(refused(426), { environment: { appleBrowser: true }, socket: { url: 'ws://localhost/sip' } }),
    ],
    ['ws-refused', 'red', refused(200)],
    // Trying once more does not wipe out what is known.
    ['ws-path', 'red', with_(refused(404), { socket: { phase: 'connecting' } })],
  ],
  registered: [
    ['reg-idle', 'grey', registering({ phase: 'idle' })],
    ['reg-waits', 'grey', with_(registering({ phase: 'trying' }), { socket: { phase: 'connecting' } })],
    ['reg-waits', 'grey', with_(idle, { socket: { phase: 'closed' } })],
    ['reg-trying', 'amber', registering({ phase: 'trying' })],
    ['reg-slow', 'amber', registering({ phase: 'trying', since: ago(5000) })],
    ['reg-ok', 'green', idle],
    ['reg-password', 'red', rejected(401, { algorithms: ['MD5'] })],
    ['reg-password', 'red', rejected(407, { algorithms: ['SHA-256', 'MD5'] })],
    ['reg-digest', 'red', rejected(401, { algorithms: ['SHA-256'] })],
    ['reg-forbidden', 'red', rejected(403)],
    ['reg-unknown', 'red', rejected(404)],
    ['reg-timeout', 'red', rejected(408)],
    ['reg-timeout', 'red', rejected(null, { cause: 'Request Timeout' })],
    ['reg-interval', 'red', rejected(423)],
    ['reg-busy', 'red', rejected(503, { retryAt: NOW + 5000 })],
    ['reg-busy', 'red', rejected(429)],
    ['reg-server', 'red', rejected(500)],
    ['reg-refused', 'red', rejected(486)],
    ['reg-refused', 'red', rejected(603)],
    ['reg-lost', 'amber', rejected(null, { cause: 'Connection Error' })],
  ],
  ice: [
    ['ice-unsupported', 'red', with_(idle, { environment: { webrtc: false } })],
    ['ice-idle', 'grey', idle],
    ['ice-waits', 'grey', ice({ answered: false, since: ago(30_000) })],
    ['ice-checking', 'amber', ice({ phase: 'checking' })],
    ['ice-checking', 'amber', ice({ phase: 'new' })],
    ['ice-slow', 'amber', ice({ phase: 'checking', since: ago(4000) })],
    ['ice-connected', 'green', talking],
    ['ice-connected', 'green', ice({ phase: 'completed', transport: 'connected' })],
    ['ice-dtls', 'amber', ice({ phase: 'connected', transport: 'connecting' })],
    ['ice-dtls-failed', 'red', ice({ phase: 'connected', transport: 'connecting', since: ago(9000) })],
    ['ice-dtls-failed', 'red', ice({ phase: 'connected', transport: 'failed' })],
    ['ice-disconnected', 'amber', ice({ phase: 'disconnected', worked: true })],
    ['ice-lost', 'red', ice({ phase: 'disconnected', worked: true, since: ago(9000) })],
    ['ice-lost', 'red', ice({ phase: 'failed', worked: true })],
    ['ice-blocked', 'red', hopeless({})],
    ['ice-blocked', 'red', hopeless({ phase: 'disconnected' })],
    ['ice-blocked', 'red', ice({ phase: 'failed', checksSent: 20 })],
    ['ice-one-way', 'red', hopeless({ checksAnswered: 2 })],
    ['ice-no-local', 'red', hopeless({ localCandidates: 0 })],
    ['ice-no-remote', 'red', hopeless({ remoteCandidates: 0 })],
    ['ice-closed', 'grey', ice({ phase: 'closed' })],
    // A failure stays after the call, and does not age.
    ['ice-blocked', 'red', with_(ice({ phase: 'failed', overAt: ago(60_000) }), { call: { phase: 'idle' } })],
  ],
  audio: [
    ['audio-insecure', 'red', with_(idle, { environment: { secure: false, mediaDevices: false } })],
    ['audio-unsupported', 'red', with_(idle, { environment: { mediaDevices: false } })],
    ['audio-mic-denied', 'red', with_(idle, { microphone: 'denied' })],
    ['audio-mic-missing', 'red', with_(idle, { microphone: 'missing' })],
    ['audio-mic-busy', 'red', with_(idle, { microphone: 'busy' })],
    ['audio-mic-busy', 'red', with_(idle, { microphone: 'failed' })],
    ['audio-idle', 'grey', idle],
    ['audio-waits', 'grey', with_({ ...talking, audio: null }, { call: { phase: 'calling' } })],
    ['audio-held-here', 'amber', with_(talking, { call: { heldHere: true }, audio: { ...quiet, ...still } })],
    ['audio-held-there', 'amber', with_(talking, { call: { heldThere: true }, audio: quiet })],
    ['audio-blocked', 'red', with_(talking, { playback: 'blocked' })],
    ['audio-starting', 'amber', { ...talking, audio: initialAudio(ago(500)) }],
    [
      'audio-starting',
      'amber',
      { ...talking, audio: { ...initialAudio(ago(1000)), received: 5, receivedAt: ago(10) } },
    ],
    ['audio-both-ways', 'green', talking],
    ['audio-both-ways', 'green', with_(talking, { call: { muted: true } })],
    // Packets alone are not enough, and neither is a sound that was heard once.
    ['audio-far-silent', 'amber', audio({ farHeard: false })],
    ['audio-far-silent', 'amber', with_(audio({ farHeard: false, ownHeard: false }), { call: { muted: true } })],
    ['audio-far-silent', 'amber', audio({ farHeard: false, ownHeard: false, ownMeasured: false })],
    ['audio-both-silent', 'amber', audio({ farHeard: false, ownHeard: false })],
    ['audio-deaf', 'red', audio(quiet)],
    ['audio-deaf', 'red', audio({ receivedAt: null, received: 0, farHeard: false })],
    ['audio-dumb', 'red', audio(still)],
    ['audio-none', 'red', audio({ ...quiet, ...still })],
    ['audio-none', 'red', { ...talking, audio: initialAudio(ago(5000)) }],
    ['audio-unreadable', 'red', audio({ ...quiet, bytesPerSecond: 6000 })],
    ['audio-deaf', 'red', audio({ ...quiet, bytesPerSecond: 300 })],
    ['audio-lost', 'red', audio({ farLoss: 1 })],
    ['audio-both-ways', 'green', audio({ farLoss: 0.2 })],
    // After a hold the waiting begins anew.
    ['audio-both-ways', 'green', audio({ since: ago(1000), ...quiet, ...still })],
    // What was wrong when the call ended stays, and does not age.
    ['audio-deaf', 'red', with_(audio({ ...quiet, sentAt: ago(50), overAt: NOW }), { call: { phase: 'idle' } })],
  ],
};

for (const [light, rows] of Object.entries(TABLE)) {
  rows.forEach(([code, state, facts], index) => {
    test(`${light}: ${code} is ${state} (row ${index + 1})`, () => {
      const verdict = judge(facts, NOW)[light];
      assert.equal(verdict.code, code);
      assert.equal(verdict.state, state);
    });
  });
}

test('every verdict of every light has a row above', () => {
  for (const { name, table } of LIGHTS) {
    const tested = new Set(TABLE[name].map(([code]) => code));
    assert.deepEqual(
      table.map(({ code }) => code).filter((code) => !tested.has(code)),
      [],
      name,
    );
  }
});

test('codes are unique', () => {
  const codes = LIGHTS.flatMap(({ table }) => table.map(({ code }) => code));
  assert.equal(new Set(codes).size, codes.length);
});

test('every verdict speaks in full sentences, and every red one says what to do', () => {
  for (const [light, rows] of Object.entries(TABLE)) {
    for (const [code, state, facts] of rows) {
      const verdict = judge(facts, NOW)[light];
      assert.match(verdict.summary, /\S/, code);
      for (const text of [verdict.seen, verdict.means]) assert.match(text, /^[A-Z].*[.!]$/, `${code}: ${text}`);
      for (const text of [verdict.summary, verdict.seen, verdict.means, verdict.advice])
        assert.doesNotMatch(text, /undefined|NaN|null|\[object/, code);
      if (state === 'red') assert.match(verdict.advice, /^[A-Z].*[.!]$/, code);
    }
  }
});

test('a blocked media path names the port to open', () => {
  assert.match(judge(hopeless({}), NOW).ice.advice, /UDP 3480/);
});

test('an insecure page leads to the secure one', () => {
  const facts = with_(idle, {
    environment: {
      secure: false,
      mediaDevices: false,
      host: '192.168.1.20:8080',
      httpsUrl: 'https://192.168.1.20:8443/',
    },
  });
  assert.deepEqual(judge(facts, NOW).audio.link, {
    href: 'https://192.168.1.20:8443/',
    text: 'https://192.168.1.20:8443/',
  });
});

test('a refused registration says when it is tried again', () => {
  assert.match(judge(rejected(503, { retryAt: NOW + 5000 }), NOW).registered.advice, /in 5 seconds/);
});

test('the first red light is the one to talk about, before any amber one', () => {
  const facts = with_(rejected(403), { page: { phase: 'ready' }, microphone: 'denied' });
  assert.equal(firstTrouble(judge(facts, NOW)), 'registered');
  const amberThenRed = with_(registering({ phase: 'trying', since: ago(5000) }), { microphone: 'denied' });
  assert.equal(firstTrouble(judge(amberThenRed, NOW)), 'audio');
});

test('nothing is talked about while all is well or just begins', () => {
  for (const facts of [
    idle,
    talking,
    initialFacts(ago(500)),
    ice({ phase: 'checking' }),
    with_(talking, { call: { heldHere: true } }),
  ]) {
    assert.equal(firstTrouble(judge(facts, NOW)), null);
  }
});
