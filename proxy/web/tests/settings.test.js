import assert from 'node:assert/strict';
import { test } from 'node:test';

import { directory, readPeople, readSettings } from '../assets/phone/settings.js';

const FULL = {
  site: 'localhost',
  sip_path: '/sip',
  demo: true,
  user: { name: '300', password: 'moss-tiger-17', display_name: 'Browser' },
  dial: [
    { number: '100', label: 'Echo' },
    { number: '201', label: 'Desk phone' },
  ],
  media: { udp_port: 3480 },
  desk_phone: { server: '192.168.1.20', port: 5060, transport: 'UDP', user: '201', password: 'kite-amber-42' },
  https_port: 8443,
};

test('settings are read', () => {
  assert.deepEqual(readSettings(FULL), {
    site: 'localhost',
    sipPath: '/sip',
    demo: true,
    user: { name: '300', password: 'moss-tiger-17', displayName: 'Browser' },
    dial: [
      { number: '100', label: 'Echo' },
      { number: '201', label: 'Desk phone' },
    ],
    udpPort: 3480,
    deskPhone: { server: '192.168.1.20', port: 5060, transport: 'UDP', user: '201', password: 'kite-amber-42' },
    httpsPort: 8443,
  });
});

test('only the site is needed', () => {
  assert.deepEqual(readSettings({ site: 'voice.example.com' }), {
    site: 'voice.example.com',
    sipPath: '/sip',
    demo: false,
    user: null,
    dial: [],
    udpPort: null,
    deskPhone: null,
    httpsPort: null,
  });
});

test('fields of later versions are ignored', () => {
  assert.equal(readSettings({ ...FULL, colour: 'blue' }).site, 'localhost');
});

for (const [field, value] of [
  ['site', 5],
  ['site', ''],
  ['sip_path', 'sip'],
  ['user', 'alice'],
  ['user', { name: 'alice' }],
  ['dial', {}],
  ['dial', [{}]],
  ['media', []],
  ['media', { udp_port: 70000 }],
  ['https_port', '8443'],
  ['desk_phone', { server: 'x' }],
]) {
  test(`${field} ${JSON.stringify(value)} is refused by name`, () => {
    assert.throws(
      () => readSettings({ ...FULL, [field]: value }),
      (error) => error instanceof TypeError && error.message.startsWith(field),
    );
  });
}

for (const value of [null, 'settings', [], 7]) {
  test(`${JSON.stringify(value)} are no settings`, () => assert.throws(() => readSettings(value), TypeError));
}

test('people are read', () => {
  assert.deepEqual(readPeople([{ user: '201', label: 'Desk phone', registered: true }, { user: '301' }]), [
    { user: '201', label: 'Desk phone', registered: true },
    { user: '301', label: '301', registered: false },
  ]);
  assert.throws(() => readPeople({ people: [] }), TypeError);
  assert.throws(() => readPeople([{}]), /people\[0\]\.user/);
});

test('the directory lists services and people once, without ourselves', () => {
  const dial = [
    { number: '100', label: 'Echo' },
    { number: '201', label: 'Desk phone' },
    { number: '300', label: 'This browser' },
  ];
  const people = [
    { user: '201', label: 'Desk 201', registered: true },
    { user: '300', label: 'Browser 300', registered: true },
    { user: '301', label: 'Browser 301', registered: false },
  ];
  assert.deepEqual(directory(dial, people, '300'), [
    { number: '100', label: 'Echo', registered: null },
    { number: '201', label: 'Desk phone', registered: true },
    { number: '301', label: 'Browser 301', registered: false },
  ]);
});
