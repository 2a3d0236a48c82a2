// Light 1: the page itself and the settings it loads from the server.

import { PATIENCE_MS, row, seconds } from './verdict.js';

const failed = (kind) => (facts) => facts.page.phase === 'failed' && facts.page.error?.kind === kind;

export const pageTable = [
  row('page-ready', 'green', (facts) => facts.page.phase === 'ready', {
    summary: 'loaded',
    seen: 'The page and its settings were loaded.',
    means: 'The web part of the server works.',
  }),
  row('page-unreachable', 'red', failed('network'), {
    summary: 'server not reachable',
    seen: 'The page was shown, but asking the server for its settings got no answer.',
    means: 'The server stopped after the page was loaded, or the network between is down.',
    advice: 'Check that the server runs, then reload this page.',
  }),
  row('page-error', 'red', failed('http'), {
    summary: (facts) => `server error ${facts.page.error.status}`,
    seen: (facts) => `The server answered the request for settings with HTTP ${facts.page.error.status}.`,
    means: (facts) =>
      facts.page.error.status === 404
        ? 'What answers at this address is not the gateway, or its phone page is switched off.'
        : 'Something is wrong on the server; its log has the details.',
    advice: 'Look at the server log, then reload this page.',
  }),
  row('page-format', 'red', failed('format'), {
    summary: 'settings not understood',
    seen: 'The server sent settings that this page cannot read.',
    means: 'A proxy in between replaced the answer, or page and server are of different versions.',
    advice: 'Reload this page without the cache (Ctrl+Shift+R).',
  }),
  row('page-slow', 'amber', (facts, now) => now - facts.page.since >= PATIENCE_MS, {
    summary: 'still loading',
    seen: (facts, now) => `The server has not sent the settings for ${seconds(facts.page.since, now)}.`,
    means: 'The server is overloaded or the network is very slow.',
    advice: 'Wait, or reload this page.',
  }),
  row('page-loading', 'amber', () => true, {
    summary: 'loading',
    seen: 'The page is asking the server for its settings.',
    means: 'This normally takes less than a second.',
  }),
];
