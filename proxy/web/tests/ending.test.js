import assert from 'node:assert/strict';
import { test } from 'node:test';

import { describeEnd } from '../assets/phone/diagnosis/ending.js';

const end = (fields) =>
  describeEnd({
    direction: 'outgoing',
    answered: false,
    by: 'remote',
    cause: 'Rejected',
    code: null,
    reason: '',
    warning: null,
    note: null,
    ...fields,
  });

const TABLE = [
  ['own hanging up', { answered: true, by: 'local', cause: 'Terminated' }, 'ended', 'You hung up.'],
  ['far hanging up', { answered: true, cause: 'Terminated' }, 'ended', 'The far side hung up.'],
  [
    'far hanging up with a normal reason',
    { answered: true, cause: 'Terminated', note: 'Q.850;cause=16;text="Normal call clearing"' },
    'ended',
    'The far side hung up.',
  ],
  [
    'a gateway that ends the call',
    { answered: true, cause: 'Terminated', note: 'SIP ;cause=408 ;text="media timeout"' },
    'failed',
    'The call was ended: media timeout.',
  ],
  [
    'a gateway that ends the call without words',
    { answered: true, cause: 'Terminated', note: 'SIP;cause=503' },
    'failed',
    'The call was ended: code 503.',
  ],
  [
    'lost media',
    { answered: true, by: 'local', cause: 'RTP Timeout' },
    'failed',
    'The media path failed. The ICE light has the details.',
  ],
  ['an unknown cause in a call', { answered: true, cause: 'Gremlins' }, 'failed', 'The call broke off: Gremlins.'],
  ['busy', { code: 486, reason: 'Busy Here' }, 'failed', 'Busy. (486)'],
  ['nobody there', { code: 480 }, 'failed', 'Not reachable at the moment. Probably not registered. (480)'],
  ['a redirection', { code: 302 }, 'failed', 'The far side has moved to another address. (302)'],
  ['an unusual code', { code: 499, reason: 'Odd' }, 'failed', 'The call was refused: Odd. (499)'],
  ['an unusual code without words', { code: 599 }, 'failed', 'The call was refused: no reason given. (599)'],
  [
    'a warning',
    { code: 488, warning: '305 gw "no common codec"' },
    'failed',
    'Both sides have no codec or encryption in common. (488) No common codec.',
  ],
  [
    'an empty warning',
    { code: 488, warning: '305 gw ""' },
    'failed',
    'Both sides have no codec or encryption in common. (488)',
  ],
  ['own cancelling', { by: 'local', cause: 'Canceled' }, 'ended', 'You hung up before an answer.'],
  [
    'a lost connection',
    { by: 'system', cause: 'Connection Error' },
    'failed',
    'The connection to the server was lost.',
  ],
  ['no answer of the server', { by: 'system', cause: 'Request Timeout' }, 'failed', 'The server did not answer.'],
  ['declining', { direction: 'incoming', by: 'local', cause: 'Rejected' }, 'ended', 'You declined.'],
  ['a caller who gave up', { direction: 'incoming', cause: 'Canceled' }, 'missed', 'Missed call.'],
  ['a caller who hung up while it rang', { direction: 'incoming', cause: 'Terminated' }, 'missed', 'Missed call.'],
  ['ringing for too long', { direction: 'incoming', by: 'local', cause: 'No Answer' }, 'missed', 'Missed call.'],
  [
    'an offer that the browser does not take',
    { direction: 'incoming', by: 'system', cause: 'WebRTC Error' },
    'failed',
    'The browser could not set up the media.',
  ],
];

for (const [name, fields, kind, text] of TABLE) {
  test(name, () => assert.deepEqual(end(fields), { kind, text }));
}

test('every final response has words', () => {
  for (let code = 300; code < 700; code += 1) assert.match(end({ code }).text, /^[A-Z].*\. \(\d+\)$/, String(code));
});
