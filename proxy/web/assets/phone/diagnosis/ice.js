// Light 4: the media path between this browser and the gateway: ICE, then the DTLS handshake over it.

import { row, seconds } from './verdict.js';

/** A media path that takes longer than this gets an explanation, in milliseconds. */
const SLOW_MS = 3000;
/** A media path that takes longer than this is a fault, though the browser itself goes on trying, in milliseconds. */
const HOPELESS_MS = 8000;

const ice = (facts) => facts.ice;
const age = (facts, now) => (facts.ice.overAt ?? now) - facts.ice.since;
const connected = (facts) => ['connected', 'completed'].includes(ice(facts).phase);
const failed = (facts) => ice(facts).phase === 'failed';
// A browser that finds no path at first may call that "disconnected" before it calls it "failed".
const trying = (facts) => ['new', 'checking', 'disconnected'].includes(ice(facts).phase) && !ice(facts).worked;
const interrupted = (facts) => ['disconnected', 'failed', 'checking'].includes(ice(facts).phase) && ice(facts).worked;
const hopeless = (facts, now) =>
  (failed(facts) && !ice(facts).worked) || (trying(facts) && age(facts, now) >= HOPELESS_MS);
const port = (facts) => (facts.environment.udpPort ? `UDP ${facts.environment.udpPort}` : 'the media port');

export const iceTable = [
  row('ice-unsupported', 'red', (facts) => !facts.environment.webrtc, {
    summary: 'browser cannot do WebRTC',
    seen: 'This browser has no RTCPeerConnection.',
    means: 'It is too old, or WebRTC was switched off by a setting or an extension.',
    advice: 'Use a current Chrome, Edge, Firefox or Safari, or allow WebRTC.',
  }),
  row('ice-idle', 'grey', (facts) => ice(facts) === null, {
    summary: 'no call',
    seen: 'There is no call.',
    means: 'The media path is built for each call and checked then.',
  }),
  row('ice-waits', 'grey', (facts) => trying(facts) && !ice(facts).answered && ice(facts).overAt === null, {
    summary: 'waits for the answer',
    seen: 'The call is not answered yet.',
    means: 'The far side has not said where to send audio.',
  }),
  row(
    'ice-dtls-failed',
    'red',
    (facts, now) =>
      connected(facts) &&
      (ice(facts).transport === 'failed' || (ice(facts).transport !== 'connected' && age(facts, now) >= HOPELESS_MS)),
    {
      summary: 'secure handshake failed',
      seen: 'Packets go both ways, but the encryption (DTLS) was not agreed on.',
      means: 'The fingerprint in the call setup is not that of the gateway, or a device in between changed it.',
      advice: 'Look at the relay log; a second SIP device rewriting the call setup is the usual cause.',
    },
  ),
  row('ice-dtls', 'amber', (facts) => connected(facts) && ice(facts).transport !== 'connected', {
    summary: 'securing',
    seen: 'A path was found; both sides agree on encryption (DTLS).',
    means: 'This normally takes less than a second.',
  }),
  row('ice-connected', 'green', connected, {
    summary: 'connected',
    seen: (facts) =>
      `Media path: ${ice(facts).pair ?? 'established'}${ice(facts).roundTripMs === null ? '' : `, ${ice(facts).roundTripMs} ms there and back`}.`,
    means: 'Browser and gateway exchange encrypted packets.',
  }),
  row(
    'ice-disconnected',
    'amber',
    (facts, now) => interrupted(facts) && !failed(facts) && age(facts, now) < HOPELESS_MS,
    {
      summary: 'interrupted',
      seen: (facts, now) => `The gateway has not answered on the media path for ${seconds(facts.ice.since, now)}.`,
      means: 'The network changed or loses packets.',
      advice: 'Wait a moment; the browser tries to get the path back.',
    },
  ),
  row('ice-lost', 'red', interrupted, {
    summary: 'media path lost',
    seen: (facts, now) =>
      `The media path worked and has been silent for ${seconds(facts.ice.since, facts.ice.overAt ?? now)}.`,
    means: 'The network changed (another Wi-Fi, a VPN), or a firewall closed the path.',
    advice: 'Hang up and call again.',
  }),
  row('ice-no-local', 'red', (facts, now) => hopeless(facts, now) && ice(facts).localCandidates === 0, {
    summary: 'the browser hides all addresses',
    seen: 'The browser did not name a single network address for media.',
    means: 'A privacy extension, a policy or a VPN blocks WebRTC.',
    advice: 'Allow WebRTC for this page, or try without the extension or VPN.',
  }),
  row('ice-no-remote', 'red', (facts, now) => hopeless(facts, now) && ice(facts).remoteCandidates === 0, {
    summary: 'the gateway named no address',
    seen: 'The answer to the call has no media address of the gateway in it.',
    means: 'The media relay did not take part in this call.',
    advice: 'Look at the relay log and at its interface settings.',
  }),
  row('ice-one-way', 'red', (facts, now) => hopeless(facts, now) && ice(facts).checksAnswered > 0, {
    summary: 'path not confirmed',
    seen: (facts) =>
      `The gateway answered ${ice(facts).checksAnswered} of ${ice(facts).checksSent} connection checks, but no path was agreed on.`,
    means: 'Packets are lost on the way, or a firewall lets only some of them through.',
    advice: (facts) => `Open ${port(facts)} in both directions.`,
  }),
  row('ice-blocked', 'red', hopeless, {
    summary: 'no media path',
    seen: (facts) =>
      `The browser sent ${ice(facts).checksSent || 'its'} connection checks to the gateway; none was answered.`,
    means: 'A firewall blocks the way, or the gateway announces an address that cannot be reached from here.',
    advice: (facts) =>
      `Open ${port(facts)} on the firewall in front of the gateway, and check the public address in its settings.`,
  }),
  row('ice-closed', 'grey', (facts) => ice(facts).phase === 'closed', {
    summary: 'no call',
    seen: 'The call is over.',
    means: 'The media path is built for each call and checked then.',
  }),
  row('ice-slow', 'amber', (facts, now) => age(facts, now) >= SLOW_MS, {
    summary: 'still looking for a path',
    seen: (facts, now) => `No answer from the gateway to connection checks for ${seconds(facts.ice.since, now)}.`,
    means: 'A firewall may block the way.',
    advice: (facts) => `Check that ${port(facts)} is open on the firewall in front of the gateway.`,
  }),
  row('ice-checking', 'amber', () => true, {
    summary: 'looking for a path',
    seen: 'Browser and gateway are testing how to reach each other.',
    means: 'This normally takes less than a second.',
  }),
];
