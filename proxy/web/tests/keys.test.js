import assert from 'node:assert/strict';
import { test } from 'node:test';

import { keyAction } from '../assets/phone/keys.js';

const press = (key, { target = 'page', modified = false, repeat = false } = {}) => ({ key, target, modified, repeat });
const on = (control) => ({ target: control });

const TABLE = [
  ['digits dial', press('5'), 'idle', { action: 'digit', digit: '5' }],
  ['digits dial from a button', press('5', on('control')), 'idle', { action: 'digit', digit: '5' }],
  ['star and hash dial', press('#'), 'idle', { action: 'digit', digit: '#' }],
  ['plus begins an international number', press('+'), 'idle', { action: 'digit', digit: '+' }],
  ['the number field takes its own digits', press('5', on('number')), 'idle', null],
  ['other fields take their own digits', press('5', on('text')), 'idle', null],
  ['digits during a call are tones', press('5'), 'active', { action: 'digit', digit: '5' }],
  ['plus is no tone', press('+'), 'active', null],
  ['digits while it rings do nothing', press('5'), 'ringing', null],
  ['letters do nothing', press('x'), 'idle', null],
  ['Enter calls', press('Enter'), 'idle', { action: 'call' }],
  ['Enter calls from the number field', press('Enter', on('number')), 'idle', { action: 'call' }],
  ['Enter answers', press('Enter'), 'incoming', { action: 'answer' }],
  ['Enter answers from the number field', press('Enter', on('number')), 'incoming', { action: 'answer' }],
  ['Enter answers wherever the focus happens to be', press('Enter', on('control')), 'incoming', { action: 'answer' }],
  ['Enter declines on the button for that', press('Enter', on('callControl')), 'incoming', null],
  ['Enter presses the button that has the focus', press('Enter', on('control')), 'idle', null],
  ['Enter sends the form', press('Enter', on('text')), 'idle', null],
  ['Enter does nothing in a call', press('Enter'), 'active', null],
  ['a held Enter does not call again and again', press('Enter', { repeat: true }), 'idle', null],
  ['Escape hangs up', press('Escape'), 'active', { action: 'hangup' }],
  ['Escape gives up a call that rings', press('Escape'), 'ringing', { action: 'hangup' }],
  ['Escape declines', press('Escape'), 'incoming', { action: 'decline' }],
  ['Escape does nothing without a call', press('Escape'), 'idle', null],
  ['M mutes', press('m'), 'active', { action: 'mute' }],
  ['M mutes from a button', press('M', on('control')), 'active', { action: 'mute' }],
  ['H holds', press('h'), 'active', { action: 'hold' }],
  ['a held H does not flicker', press('h', { repeat: true }), 'active', null],
  ['M does nothing without a call', press('m'), 'idle', null],
  ['shortcuts of the browser stay its own', press('m', { modified: true }), 'active', null],
];

for (const [name, key, call, expected] of TABLE) {
  test(name, () => assert.deepEqual(keyAction(key, call), expected));
}

test('Escape closes an explanation before it ends a call', () => {
  assert.deepEqual(keyAction(press('Escape'), 'active', true), { action: 'closePanel' });
  assert.deepEqual(keyAction(press('Escape'), 'idle', true), { action: 'closePanel' });
});
