// The facts, and who is told when they change.

import { initialFacts } from './facts.js';

export class Store {
  #facts = initialFacts(Date.now());
  #changed;
  #told = false;

  /** `changed()` is called once after any number of changes made together. */
  constructor(changed) {
    this.#changed = changed;
  }

  get facts() {
    return this.#facts;
  }

  /** Replaces whole parts of the facts. */
  set(parts) {
    this.#facts = { ...this.#facts, ...parts };
    this.touch();
  }

  /** Changes some fields of one part. */
  patch(part, fields) {
    this.set({ [part]: { ...this.#facts[part], ...fields } });
  }

  /** Something beside the facts changed that is shown as well. */
  touch() {
    if (this.#told) return;
    this.#told = true;
    queueMicrotask(() => {
      this.#told = false;
      this.#changed();
    });
  }
}
