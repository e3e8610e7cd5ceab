import { Connection, type ConnectionState } from "./connection.ts";
import type { PenholderError } from "./errors.ts";
import { isPageVisible, watchPage } from "./page.ts";
import { pushed } from "./push.ts";
import { type ResumeStorage, ResumeTokens } from "./resume.ts";
import type { Readable } from "./store.ts";
import { SummaryFeed, type SummaryRows } from "./summaries.ts";
import { TicketsClient } from "./tickets/http.ts";
import { type TokenInput, TokenSource, tokenClaims } from "./token.ts";
import { TopicChannel, type TopicHost } from "./topic.ts";
import { TopicSession } from "./topic-session.ts";
import type { TopicOptions, TopicState } from "./topic-state.ts";
import type { Frame, WebSocketClass } from "./transport.ts";
import type { Wish } from "./wishes.ts";

export interface ClientOptions {
  /** Where the server is: `https://presence.example.com`, or empty for the page's own origin. */
  readonly url?: string;
  /** A token, or a function that fetches one: asked again before the token expires. */
  readonly token: TokenInput;
  /** Where resume tokens wait during a reload; null: sessions don't survive one. */
  readonly storage?: ResumeStorage | null;
  /** For environments without a global `WebSocket`, and for tests. */
  readonly webSocket?: WebSocketClass;
  /** In place of the global `fetch`, for tests. */
  readonly fetch?: typeof globalThis.fetch;
}

/** One membership in a topic, and what each of those who share it wishes of it. */
interface Shared {
  readonly channel: TopicChannel;
  readonly holds: Set<{ wish: Wish }>;
}

/** Makes a client and connects it. */
export function connect(options: ClientOptions): PenholderClient {
  return new PenholderClient(options);
}

/** One connection of one person to a Penholder server; any number of topics share it. */
export class PenholderClient {
  readonly connection: Readable<ConnectionState>;
  /** Rows for the topics that somebody watches by `watchSummaries`. */
  readonly summaries: Readable<SummaryRows>;
  /** Why they are refused: one topic that may not be viewed refuses the whole list. */
  readonly summariesError: Readable<PenholderError | null>;
  /** When the server was heard last, once it tells nothing more of them; null while they are followed live. */
  readonly summariesAsOf: Readable<number | null>;
  /** The desk over HTTP, as the same person. */
  readonly tickets: TicketsClient;
  readonly #connection: Connection;
  readonly #feed: SummaryFeed;
  readonly #tokens: TokenSource;
  readonly #resume: ResumeTokens;
  readonly #host: TopicHost;
  readonly #topics = new Map<string, Shared>();
  readonly #frameListeners = new Set<(frame: Frame) => void>();
  readonly #stopWatching: () => void;
  #refreshing = false;

  constructor(options: ClientOptions) {
    const endpoint = endpointOf(options.url ?? "");
    this.#tokens = new TokenSource(options.token);
    this.#resume = new ResumeTokens(
      endpoint,
      options.storage === undefined ? pageStorage() : options.storage,
    );
    this.tickets = new TicketsClient({
      url: originOf(options.url ?? ""),
      tokens: this.#tokens,
      ...(options.fetch === undefined ? {} : { fetch: options.fetch }),
    });
    this.#connection = new Connection({
      endpoint,
      tokens: this.#tokens,
      webSocket: options.webSocket ?? globalThis.WebSocket,
      onFrame: (frame) => {
        for (const listener of this.#frameListeners) listener(frame);
      },
      accepts: (token) => this.tickets.accepts(token),
    });
    this.connection = this.#connection.state;
    const { socket } = this.#connection;
    socket.onMessage((message) => {
      const { event, topic } = message as { event?: string; topic?: string };
      if (event === "token_expiring") void this.#refreshToken(topic);
    });
    const heardAt = () => this.#connection.heardAt;
    this.#feed = new SummaryFeed(socket, heardAt);
    this.summaries = this.#feed.rows;
    this.summariesError = this.#feed.error;
    this.summariesAsOf = this.#feed.asOf;
    this.#host = {
      socket,
      resume: this.#resume,
      person: () => (this.#tokens.current === null ? null : tokenClaims(this.#tokens.current).sub),
      isVisible: isPageVisible,
      heardAt,
    };
    this.#stopWatching = watchPage({
      input: () => this.#each((topic) => topic.input()),
      visible: (visible) => this.#each((topic) => topic.update({ visible })),
      hide: () => this.#resume.save(),
      restore: () => this.#resume.discardSaved(),
    });
    void this.#connection.open();
  }

  /**
   * Joins a topic at the end of this turn, or shares it with those here who hold it already. Of modes
   * and visibilities that differ the stronger counts: `edit`, and being shown. Each caller leaves its
   * own session once.
   */
  topic(name: string, { meta, ...wish }: TopicOptions = {}): TopicSession {
    const shared = this.#topics.get(name) ?? {
      channel: new TopicChannel(name, this.#host),
      holds: new Set(),
    };
    this.#topics.set(name, shared);
    const { channel, holds } = shared;
    const hold: { wish: Wish } = { wish };
    holds.add(hold);
    channel.describe(meta);
    this.#settle(name, shared);
    return new TopicSession(channel, {
      configure: ({ meta: next, ...change }) => {
        hold.wish = { ...hold.wish, ...change };
        channel.describe(next);
        this.#settle(name, shared);
      },
      release: () => {
        holds.delete(hold);
        this.#settle(name, shared);
      },
    });
  }

  /** The state of a topic that is in use here, else null. */
  peek(name: string): TopicState | null {
    return this.#topics.get(name)?.channel.store.getSnapshot() ?? null;
  }

  /** Keeps `summaries` filled for these topics until the answered function is called. */
  watchSummaries(topics: readonly string[]): () => void {
    return this.#feed.watch(topics);
  }

  /** Calls `listener` with every frame in and out; answers a function that stops it. */
  onFrame(listener: (frame: Frame) => void): () => void {
    this.#frameListeners.add(listener);
    return () => this.#frameListeners.delete(listener);
  }

  /** Leaves every topic at once and closes the connection for good. */
  disconnect(): void {
    this.#stopWatching();
    this.#each((topic) => topic.close());
    this.#topics.clear();
    this.#resume.clear();
    this.#connection.close();
  }

  /**
   * Does at the end of this turn what all holds come to: components that mount together join once,
   * and one that is replaced by another, or remounted by React's StrictMode, is no leave.
   */
  #settle(name: string, shared: Shared): void {
    queueMicrotask(() => {
      if (this.#topics.get(name) !== shared) return;
      if (shared.holds.size > 0) {
        shared.channel.configure([...shared.holds].map(({ wish }) => wish));
        return;
      }
      this.#topics.delete(name);
      shared.channel.close();
    });
  }

  #each(action: (topic: TopicChannel) => void): void {
    for (const { channel } of this.#topics.values()) action(channel);
  }

  /** One refresh however many topics announce the expiry; the push goes by one that is joined. */
  async #refreshToken(announcedOn: string | undefined): Promise<void> {
    if (this.#refreshing || !this.#tokens.canRefresh) return;
    this.#refreshing = true;
    try {
      const token = await this.#tokens.refresh();
      const push = this.#connection.push(announcedOn, "token", { token });
      if (push !== null) await pushed(push);
    } catch {
      // The server closes with 4401 at the end, and the next attempt fetches a token again.
    } finally {
      this.#refreshing = false;
    }
  }
}

function endpointOf(url: string): string {
  const base = url.replace(/^http/, "ws").replace(/\/+$/, "");
  return base.endsWith("/socket") ? base : `${base}/socket`;
}

/** Where HTTP is spoken, for an address in any form that `url` may have. */
function originOf(url: string): string {
  return url
    .replace(/^ws/, "http")
    .replace(/\/+$/, "")
    .replace(/\/socket$/, "");
}

/** Reading the property alone throws where the page may not have storage. */
function pageStorage(): ResumeStorage | null {
  try {
    return globalThis.sessionStorage ?? null;
  } catch {
    return null;
  }
}
