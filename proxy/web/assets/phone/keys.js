// Which key does what. Pure: a description of the key press in, the name of an action out.

const DIGIT = /^[\d*#+]$/;

/**
 * The action of a key press, or null if the browser should do what it always does.
 *
 * `press`: { key, modified, repeat, target } where `target` is what has the focus:
 *          number (the number field) | text (another field) | callControl (a button of the call) |
 *          control (another button, link, slider …) | page
 * `call`:  phase of the call, as in facts.js
 * `panel`: whether an explanation is open
 *
 * Returns { action, digit? } with action one of
 * call | answer | hangup | decline | mute | hold | digit | closePanel.
 */
export function keyAction({ key, modified, repeat = false, target }, call, panel = false) {
  if (modified) return null;
  if (key === 'Escape') return escape(call, panel);
  if (key === 'Enter') return repeat ? null : enter(target, call);
  if (target === 'text') return null;

  const talking = call === 'active';
  if (talking && !repeat && target !== 'number') {
    if (key === 'm' || key === 'M') return { action: 'mute' };
    if (key === 'h' || key === 'H') return { action: 'hold' };
  }
  if (!DIGIT.test(key) || target === 'number') return null;
  if (talking) return key === '+' ? null : { action: 'digit', digit: key };
  return call === 'idle' ? { action: 'digit', digit: key } : null;
}

function escape(call, panel) {
  if (panel) return { action: 'closePanel' };
  if (call === 'incoming') return { action: 'decline' };
  return call === 'idle' ? null : { action: 'hangup' };
}

function enter(target, call) {
  if (target === 'callControl' || target === 'text') return null;
  if (call === 'incoming') return { action: 'answer' };
  return call === 'idle' && target !== 'control' ? { action: 'call' } : null;
}
