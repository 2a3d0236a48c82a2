// A verdict is one row of a light's table: when it applies, and what it says in plain words.

/** How long a light may stay amber before its reason is offered, in milliseconds. */
export const PATIENCE_MS = 4000;

/**
 * One row. The first row of a table whose `when(facts, now)` holds decides the light.
 *
 * `code`     stable name, used by tests and in support requests
 * `state`    grey | amber | green | red
 * `summary`  a few words beside the light
 * `seen`     what was observed; `means` what follows from it; `advice` what to do
 * `link`     optional { href, text }
 *
 * Every text may be a string or a function of (facts, now).
 */
export function row(code, state, when, words) {
  return Object.freeze({ code, state, when, ...words });
}

/** Fills in the texts of the first row that applies. */
export function decide(table, facts, now) {
  const found = table.find((candidate) => candidate.when(facts, now));
  const say = (text) => (typeof text === 'function' ? text(facts, now) : (text ?? ''));
  return {
    code: found.code,
    state: found.state,
    summary: say(found.summary),
    seen: say(found.seen),
    means: say(found.means),
    advice: say(found.advice),
    link: say(found.link) || null,
  };
}

/** Whole seconds since `since`, for sentences. */
export function seconds(since, now) {
  const value = Math.max(0, Math.round((now - since) / 1000));
  return value === 1 ? '1 second' : `${value} seconds`;
}
