// Facts for the tables of the tests: a page on which everything is fine, and ways to spoil it.

import { initialFacts, initialIce } from '../assets/phone/facts.js';
import { initialAudio } from '../assets/phone/stats.js';

/** The time of every test, in milliseconds; `ago(ms)` is before it. */
export const NOW = 1_000_000;
export const ago = (ms) => NOW - ms;

/** A registered page without a call. */
export function idleFacts() {
  const facts = initialFacts(ago(60_000));
  return with_(facts, {
    page: { phase: 'ready' },
    environment: { host: 'pbx.example', udpPort: 3480 },
    socket: { phase: 'open', url: 'wss://pbx.example/sip' },
    registration: { phase: 'registered', user: '300' },
  });
}

/** A page in a call that has been up for 20 seconds with audio both ways. */
export function callFacts() {
  return with_(
    { ...idleFacts(), ice: initialIce(ago(20_000)), audio: initialAudio(ago(20_000)) },
    {
      call: { phase: 'active', since: ago(20_000) },
      ice: {
        phase: 'connected',
        transport: 'connected',
        answered: true,
        localCandidates: 2,
        remoteCandidates: 1,
        checksSent: 5,
        checksAnswered: 5,
        pair: 'host udp → 192.0.2.1:3480',
        roundTripMs: 12,
      },
      audio: {
        received: 1000,
        sent: 1010,
        receivedAt: ago(100),
        sentAt: ago(100),
        farHeard: true,
        ownHeard: true,
        ownMeasured: true,
      },
    },
  );
}

/** `facts` with some fields of some parts changed; the original stays as it is. */
export function with_(facts, changes) {
  const parts = Object.entries(changes).map(([part, fields]) => [
    part,
    typeof fields === 'object' && fields !== null && typeof facts[part] === 'object'
      ? { ...facts[part], ...fields }
      : fields,
  ]);
  return { ...facts, ...Object.fromEntries(parts) };
}
