// The five lights: facts in, verdicts out. Pure; the tables are in diagnosis/.

import { decide } from './diagnosis/verdict.js';
import { audioTable } from './diagnosis/audio.js';
import { iceTable } from './diagnosis/ice.js';
import { pageTable } from './diagnosis/page.js';
import { registeredTable } from './diagnosis/registered.js';
import { websocketTable } from './diagnosis/websocket.js';

/** The lights in the order in which a call depends on them. */
export const LIGHTS = Object.freeze([
  { name: 'page', label: 'Page', table: pageTable },
  { name: 'websocket', label: 'WebSocket', table: websocketTable },
  { name: 'registered', label: 'Registered', table: registeredTable },
  { name: 'ice', label: 'ICE', table: iceTable },
  { name: 'audio', label: 'Audio both ways', table: audioTable },
]);

/** One verdict per light: { page, websocket, registered, ice, audio }. */
export function judge(facts, now) {
  return Object.fromEntries(LIGHTS.map(({ name, table }) => [name, decide(table, facts, now)]));
}

/**
 * The light to talk about first: the first red one, since later lights depend on earlier ones; else the first amber
 * one that has advice to give; else null.
 */
export function firstTrouble(verdicts) {
  const names = LIGHTS.map(({ name }) => name);
  return (
    names.find((name) => verdicts[name].state === 'red') ??
    names.find((name) => verdicts[name].state === 'amber' && verdicts[name].advice !== '') ??
    null
  );
}
