// Light 3: whether the server knows where to ring this page.

import { PATIENCE_MS, row, seconds } from './verdict.js';

const failure = (facts) => (facts.registration.phase === 'failed' ? facts.registration.failure : null);
const refused = (facts, ...codes) => codes.includes(failure(facts)?.code);
const who = (facts) => facts.registration.user ?? 'this user';

const retry = (facts, now) => {
  const at = failure(facts)?.retryAt;
  return at && at > now ? ` The page tries again in ${seconds(now, at)}.` : '';
};

/** JsSIP answers MD5 challenges only. */
const onlyOtherDigests = (facts) => {
  const algorithms = failure(facts)?.algorithms ?? [];
  return algorithms.length > 0 && !algorithms.some((name) => name.toUpperCase() === 'MD5');
};

export const registeredTable = [
  row('reg-waits', 'grey', (facts) => facts.socket.phase !== 'open' && facts.registration.phase !== 'idle', {
    summary: 'waits for the WebSocket',
    seen: 'There is no WebSocket to register over.',
    means: 'Registration follows by itself as soon as the WebSocket is open.',
    advice: 'Look at the WebSocket light.',
  }),
  row('reg-ok', 'green', (facts) => facts.registration.phase === 'registered', {
    summary: (facts) => `as ${who(facts)}`,
    seen: (facts) => `The server accepted the registration of ${who(facts)}.`,
    means: 'This page can call and be called.',
  }),
  row('reg-idle', 'grey', (facts) => facts.registration.phase === 'idle', {
    summary: 'not signed in',
    seen: 'Nobody is signed in.',
    means: 'The server does not know whom to ring here.',
    advice: 'Sign in with a user name and password.',
  }),
  row(
    'reg-slow',
    'amber',
    (facts, now) => facts.registration.phase === 'trying' && now - facts.registration.since >= PATIENCE_MS,
    {
      summary: 'no answer yet',
      seen: (facts, now) =>
        `REGISTER for ${who(facts)} was sent ${seconds(facts.registration.since, now)} ago and has no answer.`,
      means: 'The WebSocket is open, but nothing behind it answers SIP.',
      advice: 'Look at the server log. The page gives up after 32 seconds and then tries again.',
    },
  ),
  row('reg-trying', 'amber', (facts) => facts.registration.phase === 'trying', {
    summary: 'registering',
    seen: (facts) => `REGISTER for ${who(facts)} was sent.`,
    means: 'The answer normally takes less than a second.',
  }),
  row('reg-digest', 'red', (facts) => refused(facts, 401, 407) && onlyOtherDigests(facts), {
    summary: 'password method not supported',
    seen: (facts) => `The server asks for the digest ${failure(facts).algorithms.join(', ')}.`,
    means: 'The SIP library of this page answers MD5 challenges only.',
    advice: 'Let the server offer MD5 as well; over WSS the exchange is encrypted anyway.',
  }),
  row('reg-password', 'red', (facts) => refused(facts, 401, 407), {
    summary: 'wrong password',
    seen: (facts) => `The server answered ${failure(facts).code}: it did not accept the password of ${who(facts)}.`,
    means: 'User name or password is wrong.',
    advice: 'Sign in again; mind capital letters.',
  }),
  row('reg-forbidden', 'red', (facts) => refused(facts, 403), {
    summary: 'not allowed',
    seen: (facts) => `The server answered 403 ${failure(facts).reason} to the registration of ${who(facts)}.`,
    means: 'The password is wrong, or this user may not register from here.',
    advice: 'Check user name and password, then the rules for this user on the server.',
  }),
  row('reg-unknown', 'red', (facts) => refused(facts, 404), {
    summary: 'unknown user',
    seen: (facts) => `The server answered 404: it has no user ${who(facts)}.`,
    means: 'The user name is wrong, or the server serves another domain.',
    advice: 'Check the user name.',
  }),
  row('reg-timeout', 'red', (facts) => refused(facts, 408) || failure(facts)?.cause === 'Request Timeout', {
    summary: 'no answer (408)',
    seen: (facts) => `The server did not answer the registration of ${who(facts)} in time.`,
    means: 'The WebSocket is open, but nothing behind it answers SIP.',
    advice: (facts, now) => `Look at the server log.${retry(facts, now)}`,
  }),
  row('reg-interval', 'red', (facts) => refused(facts, 423), {
    summary: 'interval too brief',
    seen: 'The server answered 423 without naming the interval that it wants.',
    means: 'The shortest registration time of the server is longer than ten minutes.',
    advice: 'Lower the smallest registration time on the server.',
  }),
  row('reg-busy', 'red', (facts) => refused(facts, 429, 503), {
    summary: 'server is busy',
    seen: (facts) => `The server answered ${failure(facts).code} ${failure(facts).reason}.`,
    means: 'The server is overloaded, or there were too many attempts from here.',
    advice: (facts, now) => `Wait a little.${retry(facts, now)}`,
  }),
  row('reg-server', 'red', (facts) => (failure(facts)?.code ?? 0) >= 500 && failure(facts).code < 600, {
    summary: (facts) => `server error ${failure(facts).code}`,
    seen: (facts) => `The server answered ${failure(facts).code} ${failure(facts).reason}.`,
    means: 'Something is wrong on the server.',
    advice: (facts, now) => `Look at the server log.${retry(facts, now)}`,
  }),
  row('reg-refused', 'red', (facts) => Boolean(failure(facts)?.code), {
    summary: (facts) => `refused (${failure(facts).code})`,
    seen: (facts) => `The server answered ${failure(facts).code} ${failure(facts).reason}.`,
    means: 'The server does not accept this registration.',
    advice: (facts, now) => `The server log says why.${retry(facts, now)}`,
  }),
  row('reg-lost', 'amber', () => true, {
    summary: 'interrupted',
    seen: 'The registration was interrupted before the server answered.',
    means: 'The WebSocket was closed in between.',
    advice: (facts, now) => `Wait; the page registers again by itself.${retry(facts, now)}`,
  }),
];
