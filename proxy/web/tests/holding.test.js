import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Holding, RETRY_MS } from '../assets/phone/holding.js';

/** A session that can be busy, and timers that run by hand. */
function stage({ held = false, busy = false } = {}) {
  const stage = { held, busy, changes: [], timers: new Map(), next: 1 };
  const change = (to) => {
    if (stage.busy || stage.held === to) return false;
    stage.held = to;
    stage.changes.push(to ? 'hold' : 'unhold');
    return true;
  };
  const session = {
    isOnHold: () => ({ local: stage.held, remote: false }),
    hold: () => change(true),
    unhold: () => change(false),
  };
  const later = (act, ms) => {
    assert.equal(ms, RETRY_MS);
    stage.timers.set(stage.next, act);
    return stage.next++;
  };
  stage.holding = new Holding(session, later, (timer) => stage.timers.delete(timer));
  stage.pass = () => {
    const due = [...stage.timers.values()];
    stage.timers.clear();
    for (const act of due) act();
  };
  return stage;
}

test('a call that is free is held and resumed at once', () => {
  const s = stage();
  s.holding.toggle();
  s.holding.toggle();
  assert.deepEqual(s.changes, ['hold', 'unhold']);
  assert.equal(s.timers.size, 0);
});

test('resuming while the hold is still under way happens when that is done', () => {
  const s = stage();
  s.holding.toggle();
  s.busy = true;
  s.holding.toggle();
  s.pass();
  assert.deepEqual(s.changes, ['hold']);
  s.busy = false;
  s.pass();
  assert.deepEqual(s.changes, ['hold', 'unhold']);
  assert.equal(s.timers.size, 0);
});

test('a wish that is taken back while the call is busy changes nothing', () => {
  const s = stage({ busy: true });
  s.holding.toggle();
  s.holding.toggle();
  assert.equal(s.timers.size, 0);
  s.busy = false;
  s.pass();
  assert.deepEqual(s.changes, []);
});

test('three presses while the call is busy are one hold', () => {
  const s = stage({ busy: true });
  for (let press = 0; press < 3; press++) s.holding.toggle();
  assert.equal(s.timers.size, 1);
  s.busy = false;
  s.pass();
  assert.deepEqual(s.changes, ['hold']);
});

test('nothing is asked of a call that is over', () => {
  const s = stage({ busy: true });
  s.holding.toggle();
  s.holding.stop();
  s.busy = false;
  s.pass();
  assert.deepEqual(s.changes, []);
});
