// What RTCPeerConnection.getStats says, reduced to what the lights and meters need. Pure.

/** Root-mean-square level (1 = full scale) from which sound counts as heard: -60 dBFS, above codec idle noise. */
export const HEARD_LEVEL = 0.001;

/** Reduces an `RTCStatsReport` (or any iterable map of stats objects) to one flat sample. */
export function sample(report) {
  const all = [...report.values()];
  const audioOnly = (entry) => (entry.kind ?? entry.mediaType) === 'audio';
  const first = (type, filter = () => true) => all.find((entry) => entry.type === type && filter(entry));
  const count = (type) => all.filter((entry) => entry.type === type).length;

  const inbound = first('inbound-rtp', audioOnly);
  const outbound = first('outbound-rtp', audioOnly);
  const source = first('media-source', audioOnly);
  const farReport = first('remote-inbound-rtp', audioOnly);
  const pairs = all.filter((entry) => entry.type === 'candidate-pair');
  const pair = selectedPair(all, pairs);
  const byId = (id) => all.find((entry) => entry.id === id);
  const codec = byId(inbound?.codecId ?? outbound?.codecId);

  return {
    received: inbound?.packetsReceived ?? 0,
    lost: inbound?.packetsLost ?? 0,
    jitterMs: inbound?.jitter === undefined ? null : Math.round(inbound.jitter * 1000),
    sent: outbound?.packetsSent ?? 0,
    bytesReceived: pair?.bytesReceived ?? 0,
    farLevel: inbound?.audioLevel ?? null,
    farEnergy: inbound?.totalAudioEnergy ?? null,
    farDuration: inbound?.totalSamplesDuration ?? null,
    ownLevel: source?.audioLevel ?? null,
    ownEnergy: source?.totalAudioEnergy ?? null,
    ownDuration: source?.totalSamplesDuration ?? null,
    farLoss: farReport?.fractionLost ?? null,
    codec: codec?.mimeType?.replace(/^audio\//i, '') ?? null,
    localCandidates: count('local-candidate'),
    remoteCandidates: count('remote-candidate'),
    checksSent: total(pairs, 'requestsSent'),
    checksAnswered: total(pairs, 'responsesReceived'),
    pair: pair ? describePair(byId(pair.localCandidateId), byId(pair.remoteCandidateId)) : null,
    roundTripMs: pair?.currentRoundTripTime === undefined ? null : Math.round(pair.currentRoundTripTime * 1000),
  };
}

/** The audio facts of a call whose media path is up since `now`. */
export function initialAudio(now) {
  return {
    since: now,
    overAt: null, // when the call ended, if its audio was at fault
    received: 0,
    sent: 0,
    receivedAt: null, // when the count last rose
    sentAt: null,
    bytesPerSecond: 0,
    farHeard: false,
    ownHeard: false,
    ownMeasured: false, // whether anything measures the own level at all
    farLevel: 0, // 0 to 1, root mean square of the last interval
    ownLevel: 0,
    farLoss: null, // 0 to 1, as the far side last reported it
    lossPercent: null,
    jitterMs: null,
    codec: null,
    last: null, // the sample before and its time
  };
}

/**
 * Adds one sample to the audio facts. `heard` may carry levels that an analyser measured since the last sample:
 * { far, own }, 0 to 1, null where none runs; the louder of both measurements counts.
 */
export function observeAudio(audio, next, now, heard = {}) {
  const before = audio.last?.sample ?? null;
  const elapsed = audio.last ? now - audio.last.at : 0;
  const farLevel = Math.max(intervalLevel(before, next, 'far'), heard.far ?? 0);
  const ownLevel = Math.max(intervalLevel(before, next, 'own'), heard.own ?? 0);
  const expected = next.received + next.lost;
  return {
    ...audio,
    received: next.received,
    sent: next.sent,
    receivedAt: next.received > audio.received ? now : audio.receivedAt,
    sentAt: next.sent > audio.sent ? now : audio.sentAt,
    bytesPerSecond:
      before && elapsed > 0 ? (Math.max(0, next.bytesReceived - before.bytesReceived) * 1000) / elapsed : 0,
    farHeard: audio.farHeard || farLevel >= HEARD_LEVEL,
    ownHeard: audio.ownHeard || ownLevel >= HEARD_LEVEL,
    ownMeasured: (next.ownLevel ?? next.ownEnergy ?? heard.own ?? null) !== null,
    farLevel,
    ownLevel,
    farLoss: next.farLoss,
    lossPercent: expected > 0 ? (Math.max(0, next.lost) * 100) / expected : null,
    jitterMs: next.jitterMs,
    codec: next.codec,
    last: { sample: next, at: now },
  };
}

/** What a level meter shows for a level: 0 at -60 dBFS and below, 1 at full scale. */
export function meter(level) {
  return level > 0 ? Math.min(1, Math.max(0, 1 + Math.log10(level) / 3)) : 0;
}

/** The root-mean-square level between two samples; the browser's momentary level where it keeps no energy sums. */
function intervalLevel(before, next, side) {
  const energy = next[`${side}Energy`];
  const duration = next[`${side}Duration`];
  if (energy === null || duration === null) return next[`${side}Level`] ?? 0;
  const seconds = duration - (before?.[`${side}Duration`] ?? 0);
  return seconds > 0 ? Math.sqrt(Math.max(0, energy - (before?.[`${side}Energy`] ?? 0)) / seconds) : 0;
}

function selectedPair(all, pairs) {
  const id = all.find((entry) => entry.type === 'transport' && entry.selectedCandidatePairId)?.selectedCandidatePairId;
  return (
    pairs.find((entry) => entry.id === id) ??
    pairs.find((entry) => entry.selected) ??
    pairs.find((entry) => entry.nominated && entry.state === 'succeeded')
  );
}

function describePair(local, remote) {
  if (!remote) return null;
  const address = remote.address ?? remote.ip;
  const host = address?.includes(':') ? `[${address}]` : address;
  return `${local?.candidateType ?? 'local'} ${remote.protocol ?? 'udp'} → ${host ?? 'hidden address'}:${remote.port}`;
}

function total(entries, key) {
  return entries.reduce((sum, entry) => sum + (entry[key] ?? 0), 0);
}
