import { withoutUndefined } from "./fields.ts";
import type { TypingAudience, TypingEvent } from "./protocol.ts";
import type { Typist } from "./topic-state.ts";

/** The server switches off after 10 s; a lost `off` must not leave somebody typing for ever. */
const FORGET_MS = 11_000;
const REPEAT_MS = 5000;
const PAUSE_MS = 4000;

/** Who else is typing. */
export class TypingList {
  readonly #changed: (typists: readonly Typist[]) => void;
  readonly #timers = new Map<string, ReturnType<typeof setTimeout>>();
  #typists: readonly Typist[] = [];

  constructor(changed: (typists: readonly Typist[]) => void) {
    this.#changed = changed;
  }

  apply({ key, session, on, audience }: TypingEvent, name: string): void {
    this.remove((typist) => typist.session === session, on);
    if (!on) return;
    const known = this.#typists.find((typist) => typist.session === session);
    if (known === undefined || known.audience !== audience) {
      const others = this.#typists.filter((typist) => typist !== known);
      this.#set([...others, withoutUndefined({ key, session, name, audience })]);
    }
    this.#timers.set(
      session,
      setTimeout(() => this.remove((typist) => typist.session === session), FORGET_MS),
    );
  }

  /** Removes those that `match`; `keepShown` stops only their timers. */
  remove(match: (typist: Typist) => boolean, keepShown = false): void {
    for (const typist of this.#typists.filter(match)) {
      clearTimeout(this.#timers.get(typist.session));
      this.#timers.delete(typist.session);
    }
    if (!keepShown) this.#set(this.#typists.filter((typist) => !match(typist)));
  }

  #set(typists: readonly Typist[]): void {
    if (typists.length === this.#typists.length && typists.length === 0) return;
    this.#typists = typists;
    this.#changed(typists);
  }
}

/** The own typing: sent when it begins, repeated while it lasts, and ended after a pause. */
export class OwnTyping {
  readonly #send: (on: boolean, audience?: TypingAudience) => void;
  #isOn = false;
  /** Who was told last. */
  #audience: TypingAudience | undefined;
  #sentAt = Number.NEGATIVE_INFINITY;
  #pause: ReturnType<typeof setTimeout> | undefined;

  constructor(send: (on: boolean, audience?: TypingAudience) => void) {
    this.#send = send;
  }

  /** Whoever turns from one audience to another says so at once: the first must not hear of the rest. */
  set(on: boolean, audience?: TypingAudience): void {
    clearTimeout(this.#pause);
    if (!on) {
      if (this.#isOn) this.#send(false);
      this.reset();
      return;
    }
    this.#pause = setTimeout(() => this.set(false), PAUSE_MS);
    this.#isOn = true;
    if (audience !== this.#audience) this.repeat();
    if (Date.now() - this.#sentAt < REPEAT_MS) return;
    this.#send(true, audience);
    this.#audience = audience;
    this.#sentAt = Date.now();
  }

  /** Something else was said about what the session does: the next key stroke says it again. */
  repeat(): void {
    this.#sentAt = Number.NEGATIVE_INFINITY;
  }

  /** The session is new or gone: nothing is on, and nothing need be said. */
  reset(): void {
    clearTimeout(this.#pause);
    this.#isOn = false;
    this.repeat();
  }
}
