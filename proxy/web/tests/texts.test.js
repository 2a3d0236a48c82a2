import assert from 'node:assert/strict';
import { test } from 'node:test';

import { dialable, duration, party } from '../assets/phone/format.js';
import { sendsNow } from '../assets/phone/gathering.js';
import { SIGNALS, bursts, period, touchTone } from '../assets/phone/tones.js';

test('durations', () => {
  assert.deepEqual([0, 999, 65_000, 3_671_000, -5].map(duration), ['0:00', '0:00', '1:05', '1:01:11', '0:00']);
});

test('what can be dialled', () => {
  const table = [
    ['100', '100'],
    [' +49 (170) 123-456/7 ', '+491701234567'],
    ['*31#100', '*31#100'],
    ['alice', 'alice'],
    ['sip:alice@example.com', 'alice@example.com'],
    ['alice@[2001:db8::1]', 'alice@[2001:db8::1]'],
    ['', null],
    ['   ', null],
    ['a b', null],
    ['<script>', null],
    ['alice@a@b', null],
    ['1'.repeat(41), null],
  ];
  for (const [typed, expected] of table) assert.equal(dialable(typed), expected, typed);
});

test('a party is named once', () => {
  assert.equal(party('201', 'Desk phone'), 'Desk phone (201)');
  assert.equal(party('201', '201'), '201');
  assert.equal(party('301', 'Browser 301'), 'Browser 301');
  assert.equal(party('201', ''), '201');
});

test('one host candidate for UDP is enough to go on', () => {
  const candidate = (text) => sendsNow({ candidate: text });
  assert.equal(candidate('candidate:1 1 udp 2113937151 10.0.0.5 51000 typ host generation 0'), true);
  assert.equal(candidate('candidate:1 1 UDP 2113937151 0f1e.local 51000 typ host'), true);
  assert.equal(candidate('candidate:1 1 tcp 1518280447 10.0.0.5 9 typ host tcptype active'), false);
  assert.equal(candidate('candidate:1 1 udp 1677729535 192.0.2.7 51000 typ srflx raddr 0.0.0.0 rport 0'), false);
  assert.equal(candidate(''), false);
});

test('touch tones have the frequencies of Q.23', () => {
  assert.deepEqual(touchTone('1'), [697, 1209]);
  assert.deepEqual(touchTone('5'), [770, 1336]);
  assert.deepEqual(touchTone('#'), [941, 1477]);
  assert.deepEqual(touchTone('D'), [941, 1633]);
  assert.equal(touchTone('x'), null);
  assert.equal(touchTone('12'), null);
});

test('a cadence is tone and silence in turn', () => {
  assert.deepEqual(bursts({ cadence: [0.5, 0.25, 0.5, 2] }), [
    { start: 0, end: 0.5 },
    { start: 0.75, end: 1.25 },
  ]);
  for (const signal of Object.values(SIGNALS)) {
    assert.ok(bursts(signal).at(-1).end < period(signal));
    assert.equal(signal.cadence.length % 2, 0);
  }
});
