import type { PresenceUpdate } from "./protocol.ts";

/** At most this often; the server allows 5 a second. */
const INTERVAL_MS = 250;

/**
 * Gathers presence updates and sends them at a bounded rate: the first at once, then what has
 * come together since. Given fields replace, so the newest value of each is all that matters.
 */
export class Outbox {
  readonly #send: (update: PresenceUpdate) => void;
  #pending: PresenceUpdate | null = null;
  #open = false;
  #notBefore = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(send: (update: PresenceUpdate) => void) {
    this.#send = send;
  }

  add(update: PresenceUpdate): void {
    this.#pending = { ...this.#pending, ...update };
    this.#flush();
  }

  /** Puts back what was refused for its rate, under anything newer, and waits. */
  retry(update: PresenceUpdate, waitMs: number): void {
    this.#pending = { ...update, ...this.#pending };
    this.#notBefore = Math.max(this.#notBefore, Date.now() + waitMs);
    this.#flush();
  }

  /** Begins sending: the topic is joined. */
  open(): void {
    this.#open = true;
    this.#flush();
  }

  /** Sends what waits now, because something follows that must not overtake it. */
  hurry(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#notBefore = 0;
    this.#flush();
  }

  /** Stops sending and forgets what waits: the next join states everything anew. */
  close(): void {
    this.#open = false;
    this.#pending = null;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #flush(): void {
    if (!this.#open || this.#pending === null || this.#timer !== undefined) return;
    const wait = this.#notBefore - Date.now();
    if (wait > 0) {
      this.#timer = setTimeout(() => {
        this.#timer = undefined;
        this.#flush();
      }, wait);
      return;
    }
    const update = this.#pending;
    this.#pending = null;
    this.#notBefore = Date.now() + INTERVAL_MS;
    this.#send(update);
  }
}
