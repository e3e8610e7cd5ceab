/**
 * Resume tokens: they let a rejoin, and a reload of the page, continue the same session, so that
 * others see no leave and no join.
 *
 * In memory while the page lives; in `sessionStorage` only between `pagehide` and the next load.
 * A duplicated tab copies its twin's storage, finds nothing there, and gets a session of its own.
 */

/** The part of `Storage` that is needed. */
export type ResumeStorage = Pick<Storage, "getItem" | "setItem" | "removeItem">;

interface Entry {
  readonly resume: string;
  /** Whose session it is: after a change of person it is worth nothing. */
  readonly key: string;
}

export class ResumeTokens {
  readonly #entries = new Map<string, Entry>();
  readonly #storage: ResumeStorage | null;
  readonly #name: string;

  /** `scope` separates servers; pass null as `storage` to keep tokens in memory only. */
  constructor(scope: string, storage: ResumeStorage | null) {
    this.#name = `penholder:resume:${scope}`;
    this.#storage = storage;
    this.#load();
  }

  /** The token of `topic`, unless it is known to belong to somebody other than `key`. */
  get(topic: string, key: string | null): string | null {
    const entry = this.#entries.get(topic);
    if (entry === undefined || (key !== null && entry.key !== key)) return null;
    return entry.resume;
  }

  set(topic: string, entry: Entry): void {
    this.#entries.set(topic, entry);
  }

  delete(topic: string): void {
    this.#entries.delete(topic);
  }

  /** Forgets everything, in memory and in storage. */
  clear(): void {
    this.#entries.clear();
    this.discardSaved();
  }

  /** Writes all tokens for the page that is loaded next in this tab: call it in `pagehide`. */
  save(): void {
    if (this.#entries.size === 0) return;
    this.#attempt((storage) =>
      storage.setItem(this.#name, JSON.stringify(Object.fromEntries(this.#entries))),
    );
  }

  /** Removes what `save` wrote: the page was shown again and still has its memory. */
  discardSaved(): void {
    this.#attempt((storage) => storage.removeItem(this.#name));
  }

  #load(): void {
    const text = this.#attempt((storage) => storage.getItem(this.#name)) ?? null;
    this.discardSaved();
    if (text === null) return;
    try {
      for (const [topic, entry] of Object.entries(JSON.parse(text) as Record<string, Entry>)) {
        if (typeof entry?.resume === "string" && typeof entry.key === "string") {
          this.#entries.set(topic, { resume: entry.resume, key: entry.key });
        }
      }
    } catch {
      // Not ours, or cut short: a fresh session is the right answer.
    }
  }

  /** Storage may be full, or forbidden to the page; presence works without it. */
  #attempt<T>(action: (storage: ResumeStorage) => T): T | undefined {
    try {
      return this.#storage === null ? undefined : action(this.#storage);
    } catch {
      return undefined;
    }
  }
}
