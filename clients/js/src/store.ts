/** A value that can be read and watched: the shape that React's `useSyncExternalStore` wants. */
export interface Readable<T> {
  /** Calls `listener` after each change; answers a function that stops it. */
  readonly subscribe: (listener: () => void) => () => void;
  /** The value now. The same reference until it changes. */
  readonly getSnapshot: () => T;
}

/** A `Readable` that its owner may set. */
export class Store<T> implements Readable<T> {
  #value: T;
  readonly #listeners = new Set<() => void>();

  constructor(value: T) {
    this.#value = value;
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    // Wrapped, so that one function subscribed twice is two subscriptions.
    const entry = () => listener();
    this.#listeners.add(entry);
    return () => this.#listeners.delete(entry);
  };

  readonly getSnapshot = (): T => this.#value;

  set(value: T): void {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    for (const listener of [...this.#listeners]) listener();
  }

  /** Sets some fields; does nothing when all of them already are what they should be. */
  patch(fields: Partial<T>): void {
    const changed = (Object.keys(fields) as (keyof T)[]).some(
      (field) => !Object.is(fields[field], this.#value[field]),
    );
    if (changed) this.set({ ...this.#value, ...fields });
  }
}
