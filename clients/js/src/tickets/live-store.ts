import type { PenholderClient } from "../client.ts";
import { PenholderError } from "../errors.ts";
import { type Readable, Store } from "../store.ts";
import type { TopicOptions } from "../topic-state.ts";
import { TicketsFeed } from "./feed.ts";
import { TicketsError } from "./http.ts";
import type { DeskUser, TicketNews } from "./ticket.ts";

/** How something that is fetched and then followed stands. */
export interface LiveState {
  readonly status: "loading" | "ready" | "failed";
  /** Why the last fetch failed. What was known before is still there. */
  readonly error: PenholderError | null;
  /** Whether events follow: not while the connection is lost. */
  readonly isLive: boolean;
}

export const LOADING: LiveState = { status: "loading", error: null, isLive: false };

const RETRY_MS = 1000;
const RETRY_MAX_MS = 15_000;

/**
 * Joins a topic of tickets, fetches once it is joined, and follows its events, for as long as somebody
 * watches. Fetches again when events were missed for good, and what failed and may pass.
 */
export abstract class LiveStore<S extends LiveState> implements Readable<S> {
  protected readonly client: PenholderClient;
  protected readonly store: Store<S>;
  #watching = 0;
  #feed: TicketsFeed | null = null;
  #stop = new AbortController();
  #loading = new AbortController();
  #retry: ReturnType<typeof setTimeout> | undefined;
  #later: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;

  constructor(client: PenholderClient, initial: S) {
    this.client = client;
    this.store = new Store(initial);
  }

  readonly getSnapshot = (): S => this.store.getSnapshot();

  readonly subscribe = (listener: () => void): (() => void) => {
    const stop = this.store.subscribe(listener);
    this.#watching += 1;
    if (this.#watching === 1) void this.#start();
    return () => {
      stop();
      this.#watching -= 1;
      if (this.#watching === 0) this.#end();
    };
  };

  /** Fetches everything anew. */
  readonly reload = async (): Promise<void> => {
    clearTimeout(this.#retry);
    this.#loading.abort();
    this.#loading = new AbortController();
    const { signal } = this.#loading;
    try {
      await this.load(signal);
      if (signal.aborted) return;
      this.#failures = 0;
      this.#patch({ status: "ready", error: null });
    } catch (error) {
      if (!signal.aborted) this.#failed(asError(error), () => void this.reload());
    }
  };

  /** Where the events come from, and how to be there. */
  protected abstract topic(user: DeskUser): readonly [string, TopicOptions];

  /** Fetches, and puts what came into the store unless `signal` says that it is too late. */
  protected abstract load(signal: AbortSignal): Promise<void>;

  protected abstract event(event: TicketNews): void;

  /** Whether what is there says that nothing more will come. */
  protected isOver(): boolean {
    return false;
  }

  /** Does something once after a pause, if somebody watches still: a burst of events is one question. */
  protected later(pauseMs: number, action: () => Promise<void>): void {
    this.#later ??= setTimeout(() => {
      this.#later = undefined;
      void action();
    }, pauseMs);
  }

  async #start(): Promise<void> {
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    // In the same turn where that can be: a list that takes the place of another keeps its topic joined.
    const known = this.client.tickets.knownUser();
    if (known !== null) {
      this.#follow(known);
      return;
    }
    try {
      const user = await this.client.tickets.user();
      if (signal.aborted) return;
      this.#follow(user);
    } catch (error) {
      if (!signal.aborted) this.#failed(asError(error), () => void this.#start());
    }
  }

  #follow(user: DeskUser): void {
    const [topic, options] = this.topic(user);
    let isFirst = true;
    this.#feed = new TicketsFeed(this.client.topic(topic, options), {
      event: (event) => this.event(event),
      joined: (isWhole) => {
        // Joined by others before, and whole for them: not for who begins to watch now.
        const isKnown = isWhole && !isFirst && this.getSnapshot().status === "ready";
        isFirst = false;
        this.#patch({ isLive: true });
        if (!isKnown) void this.reload();
      },
      lost: () => this.#patch({ isLive: false }),
      refused: () => {
        this.#patch({ isLive: false });
        if (!this.isOver()) void this.reload();
      },
    });
  }

  #end(): void {
    this.#stop.abort();
    this.#loading.abort();
    clearTimeout(this.#retry);
    clearTimeout(this.#later);
    this.#later = undefined;
    this.#feed?.close();
    this.#feed = null;
    this.#patch({ isLive: false });
  }

  #failed(error: PenholderError, again: () => void): void {
    this.#patch({ status: "failed", error });
    const status = error instanceof TicketsError ? error.status : null;
    if (status !== null && status < 500 && status !== 429) return;
    const wait = error.retryAfterMs ?? RETRY_MS * 2 ** this.#failures;
    this.#failures += 1;
    this.#retry = setTimeout(again, Math.min(wait, RETRY_MAX_MS));
  }

  #patch(fields: Partial<LiveState>): void {
    this.store.patch(fields as Partial<S>);
  }
}

function asError(error: unknown): PenholderError {
  if (error instanceof PenholderError) return error;
  return new PenholderError("unknown", error instanceof Error ? error.message : String(error));
}
