import assert from 'node:assert/strict';
import { test } from 'node:test';

import { HEARD_LEVEL, initialAudio, meter, observeAudio, sample } from '../assets/phone/stats.js';

const report = (...entries) =>
  new Map(entries.map((entry, index) => [entry.id ?? `entry${index}`, { id: `entry${index}`, ...entry }]));

const CHROMIUM = report(
  {
    type: 'inbound-rtp',
    kind: 'audio',
    packetsReceived: 100,
    packetsLost: 2,
    jitter: 0.0042,
    audioLevel: 0.1,
    totalAudioEnergy: 0.5,
    totalSamplesDuration: 2,
    codecId: 'c',
  },
  { type: 'inbound-rtp', kind: 'video', packetsReceived: 9999 },
  { type: 'outbound-rtp', kind: 'audio', packetsSent: 110 },
  { type: 'media-source', kind: 'audio', audioLevel: 0.2, totalAudioEnergy: 0.9, totalSamplesDuration: 3 },
  { type: 'remote-inbound-rtp', kind: 'audio', fractionLost: 0.25 },
  { type: 'codec', id: 'c', mimeType: 'audio/PCMA' },
  { type: 'transport', selectedCandidatePairId: 'p2' },
  { type: 'candidate-pair', id: 'p1', requestsSent: 3, responsesReceived: 0 },
  {
    type: 'candidate-pair',
    id: 'p2',
    requestsSent: 4,
    responsesReceived: 2,
    bytesReceived: 7000,
    currentRoundTripTime: 0.0123,
    localCandidateId: 'l',
    remoteCandidateId: 'r',
  },
  { type: 'local-candidate', id: 'l', candidateType: 'host' },
  { type: 'remote-candidate', id: 'r', protocol: 'udp', address: '192.0.2.1', port: 3480 },
);

const FIREFOX = report(
  { type: 'inbound-rtp', mediaType: 'audio', packetsReceived: 7, packetsLost: 0 },
  { type: 'outbound-rtp', mediaType: 'audio', packetsSent: 8 },
  {
    type: 'candidate-pair',
    nominated: true,
    state: 'succeeded',
    selected: true,
    bytesReceived: 500,
    localCandidateId: 'l',
    remoteCandidateId: 'r',
  },
  { type: 'local-candidate', id: 'l', candidateType: 'host' },
  { type: 'remote-candidate', id: 'r', protocol: 'udp', address: 'fd00::1', port: 3480 },
);

test('a report is reduced to what matters', () => {
  assert.deepEqual(sample(CHROMIUM), {
    received: 100,
    lost: 2,
    jitterMs: 4,
    sent: 110,
    bytesReceived: 7000,
    farLevel: 0.1,
    farEnergy: 0.5,
    farDuration: 2,
    ownLevel: 0.2,
    ownEnergy: 0.9,
    ownDuration: 3,
    farLoss: 0.25,
    codec: 'PCMA',
    localCandidates: 1,
    remoteCandidates: 1,
    checksSent: 7,
    checksAnswered: 2,
    pair: 'host udp → 192.0.2.1:3480',
    roundTripMs: 12,
  });
});

test('a report without transport, levels and codec is understood as well', () => {
  const { received, sent, farLevel, farEnergy, codec, pair, roundTripMs } = sample(FIREFOX);
  assert.deepEqual(
    { received, sent, farLevel, farEnergy, codec, pair, roundTripMs },
    {
      received: 7,
      sent: 8,
      farLevel: null,
      farEnergy: null,
      codec: null,
      pair: 'host udp → [fd00::1]:3480',
      roundTripMs: null,
    },
  );
});

test('an empty report counts nothing', () => {
  const empty = sample(new Map());
  assert.equal(empty.received, 0);
  assert.equal(empty.pair, null);
});

const counted = (received, sent, more = {}) => ({ ...sample(new Map()), received, sent, ...more });

test('a direction is alive when its count rises', () => {
  let audio = observeAudio(initialAudio(0), counted(0, 5), 250);
  assert.deepEqual([audio.receivedAt, audio.sentAt], [null, 250]);
  audio = observeAudio(audio, counted(3, 5), 500);
  assert.deepEqual([audio.receivedAt, audio.sentAt], [500, 250]);
});

test('sound counts as heard from -60 dBFS and stays heard', () => {
  let audio = observeAudio(initialAudio(0), counted(1, 1, { farLevel: HEARD_LEVEL / 2 }), 250);
  assert.equal(audio.farHeard, false);
  audio = observeAudio(audio, counted(2, 2, { farLevel: HEARD_LEVEL }), 500);
  audio = observeAudio(audio, counted(3, 3, { farLevel: 0 }), 750);
  assert.equal(audio.farHeard, true);
  assert.equal(audio.ownHeard, false);
});

test('the idle noise of A-law is not sound', () => {
  const audio = observeAudio(initialAudio(0), counted(1, 1, { farLevel: 8 / 32768 }), 250);
  assert.equal(audio.farHeard, false);
});

test('energy sums give the level between two samples, not since the begin', () => {
  const loud = counted(1, 1, { farEnergy: 1, farDuration: 1, farLevel: 0 });
  let audio = observeAudio(initialAudio(0), loud, 250);
  assert.equal(audio.farLevel, 1);
  audio = observeAudio(audio, { ...loud, farDuration: 2 }, 500);
  assert.equal(audio.farLevel, 0);
  audio = observeAudio(audio, { ...loud, farEnergy: 1.25, farDuration: 3 }, 750);
  assert.equal(audio.farLevel, 0.5);
});

test('what an analyser heard counts too', () => {
  const audio = observeAudio(initialAudio(0), counted(1, 1), 250, { far: 0.3, own: 0.1 });
  assert.deepEqual([audio.farHeard, audio.farLevel, audio.ownLevel], [true, 0.3, 0.1]);
});

test('an own level that nothing measures is not taken for silence', () => {
  assert.equal(observeAudio(initialAudio(0), counted(1, 1), 250, { far: 0.3, own: null }).ownMeasured, false);
  assert.equal(observeAudio(initialAudio(0), counted(1, 1), 250, { far: null, own: 0 }).ownMeasured, true);
  assert.equal(observeAudio(initialAudio(0), counted(1, 1, { ownLevel: 0 }), 250).ownMeasured, true);
});

test('the rate of arriving bytes is per second', () => {
  let audio = observeAudio(initialAudio(0), counted(0, 0, { bytesReceived: 1000 }), 250);
  assert.equal(audio.bytesPerSecond, 0);
  audio = observeAudio(audio, counted(0, 0, { bytesReceived: 2000 }), 500);
  assert.equal(audio.bytesPerSecond, 4000);
});

test('loss is a share of what was expected', () => {
  assert.equal(observeAudio(initialAudio(0), counted(75, 0, { lost: 25 }), 250).lossPercent, 25);
  assert.equal(observeAudio(initialAudio(0), counted(0, 0), 250).lossPercent, null);
  assert.equal(observeAudio(initialAudio(0), counted(10, 0, { lost: -1 }), 250).lossPercent, 0);
});

test('the meter shows 60 decibels', () => {
  assert.equal(meter(0), 0);
  assert.equal(meter(0.0001), 0);
  assert.equal(meter(1), 1);
  assert.equal(meter(2), 1);
  assert.ok(Math.abs(meter(0.0316) - 0.5) < 0.01);
});
