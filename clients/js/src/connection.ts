/**
 * One socket to one server: opens it with a fresh token, keeps it open, says how it stands.
 *
 * npm `phoenix` reconnects by itself. Added here: the token function, the server's own wish for
 * the next attempt (`reconnect_after_ms`), jitter, close codes after which trying is pointless,
 * and attempts while the tab is hidden, which `phoenix` leaves out: a session that is not back
 * within the grace period would be seen to leave.
 */
import { type Channel, type Push, Socket, type SocketConnectOption } from "phoenix";
import { CLOSE_CODES } from "./protocol.ts";
import { type Readable, Store } from "./store.ts";
import type { TokenSource } from "./token.ts";
import { type Frame, observed, type WebSocketClass } from "./transport.ts";

export type ConnectionStatus = "connecting" | "connected" | "reconnecting" | "closed";

export interface ConnectionState {
  readonly status: ConnectionStatus;
  /** When the next attempt begins, in ms since the epoch; null while none is planned. */
  readonly retryAt: number | null;
  /** How the last connection ended; null while connected and before the first end. */
  readonly lastClose: { readonly code: number; readonly reason: string } | null;
  /** The server said that it is going away or restarting. */
  readonly serverLeaving: boolean;
  /** Why there is no connection, or will be none, in words, where that is known. */
  readonly problem: string | null;
  /**
   * Whether the server does not take the token any more, and there is no other: it has expired, or was refused, by the
   * socket or by a request over HTTP. Somebody has to sign in again.
   */
  readonly isTokenRefused: boolean;
  /**
   * When the server was heard last, in ms since the epoch: what is known is as of then. Null while connected,
   * and before the first connection.
   */
  readonly asOf: number | null;
}

export interface ConnectionOptions {
  readonly endpoint: string;
  readonly tokens: TokenSource;
  readonly webSocket: WebSocketClass;
  readonly onFrame: (frame: Frame) => void;
  /** Whether the server takes a token, which a refused upgrade does not tell; null where it does not say. */
  readonly accepts: (token: string) => Promise<boolean | null>;
}

const LEAVING: ReadonlySet<number> = new Set([
  CLOSE_CODES.going_away,
  CLOSE_CODES.restart,
  CLOSE_CODES.overloaded,
]);
const BACKOFF_MS = [50, 150, 400, 800, 1500, 3000] as const;
const BACKOFF_MAX_MS = 5000;
const REFRESH_AGAIN_MS = 30_000;
/** Once the server has said what it thinks of a token. */
const JUDGED_AGAIN_MS = 5000;
const TOKEN_EXPIRED = "The token has expired.";
const TOKEN_REFUSED = "The token is not accepted any more.";

export class Connection {
  readonly state: Readable<ConnectionState>;
  readonly socket: Socket;
  readonly #store = new Store<ConnectionState>({
    status: "connecting",
    retryAt: null,
    lastClose: null,
    serverLeaving: false,
    problem: null,
    isTokenRefused: false,
    asOf: null,
  });
  readonly #tokens: TokenSource;
  readonly #accepts: ConnectionOptions["accepts"];
  #wantedWaitMs: number | null = null;
  #opened = false;
  #heardAt: number | null = null;
  #refreshedAt = Number.NEGATIVE_INFINITY;
  #ended = false;
  #isAsking = false;
  #judgedAt = Number.NEGATIVE_INFINITY;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: ConnectionOptions) {
    this.#tokens = options.tokens;
    this.#accepts = options.accepts;
    this.state = this.#store;
    this.#tokens.refused.subscribe(() => {
      if (!this.#ended) this.#store.patch(this.#tokenProblem());
    });
    const socketOptions = {
      transport: observed(options.webSocket, {
        frame: (frame) => {
          if (frame.direction === "in") this.#heardAt = frame.at;
          options.onFrame(frame);
        },
        closed: (event) => this.#closed(event),
      }),
      // A function, so that each attempt takes the newest token; the published types know only
      // the string.
      authToken: () => this.#tokens.current ?? "",
      reconnectAfterMs: (tries: number) => this.#nextWaitMs(tries),
    };
    this.socket = new Socket(
      options.endpoint,
      socketOptions as unknown as Partial<SocketConnectOption>,
    );
    this.socket.onOpen(() => this.#nowOpen());
  }

  /** Fetches a token where needed and connects; tries again until `close`. */
  async open(attempt = 1): Promise<void> {
    try {
      if (!this.#tokens.isFresh(Date.now())) await this.#tokens.refresh();
    } catch (error) {
      if (this.#ended) return;
      const wait = backoffMs(attempt);
      const problem = `No token: ${error instanceof Error ? error.message : String(error)}`;
      this.#store.patch({ status: "reconnecting", problem, retryAt: Date.now() + wait });
      this.#timer = setTimeout(() => void this.open(attempt + 1), wait);
      return;
    }
    if (this.#ended) return;
    this.socket.connect();
  }

  /**
   * When the server was heard last, in ms since the epoch; null before the first connection. Not when the loss was
   * noticed, which may be much later: a line that is dead, or a computer asleep, tells nothing.
   */
  get heardAt(): number | null {
    return this.#heardAt;
  }

  /** Says goodbye: the server ends the sessions of this connection at once. */
  close(): void {
    this.#end(null, false);
    this.socket.disconnect(undefined, 1000, "goodbye");
  }

  /** Pushes on the joined channel of `topic`, or on any joined one; null when there is none. */
  push(topic: string | undefined, event: string, payload: object): Push | null {
    const { channels } = this.socket as unknown as { channels: readonly Channel[] };
    const joined = channels.filter((channel) => channel.state === "joined");
    const channel = joined.find((c) => c.topic === topic) ?? joined[0];
    return channel?.push(event, payload) ?? null;
  }

  #nowOpen(): void {
    this.#opened = true;
    this.#heardAt = Date.now();
    this.#tokens.judged(this.#tokens.current ?? "", true);
    clearTimeout(this.#timer);
    this.#store.set({
      status: "connected",
      retryAt: null,
      lastClose: null,
      serverLeaving: false,
      problem: null,
      isTokenRefused: false,
      asOf: null,
    });
  }

  #closed({ code, reason }: CloseEvent): void {
    if (this.#ended) return;
    const wish = parseReason(reason);
    this.#wantedWaitMs = wish.reconnectAfterMs;
    const lastClose = { code, reason: wish.code ?? reason };
    this.#store.patch({
      status: "reconnecting",
      // Tried again nevertheless: this machine's clock may be wrong, and what was refused may be accepted again.
      ...this.#tokenProblem(),
      lastClose,
      serverLeaving: LEAVING.has(code),
      asOf: this.#heardAt,
    });
    const final = this.#finalProblem(code);
    if (final !== null) {
      this.#end(final, code !== CLOSE_CODES.replaced);
      // Not in the middle of phoenix's own handling of this close.
      queueMicrotask(() => this.socket.disconnect());
    } else if (code === CLOSE_CODES.token_expired || this.#isTokenDoubtful()) {
      // Failing leaves the old token for the next attempt.
      this.#refreshedAt = Date.now();
      this.#tokens.refresh().catch(() => undefined);
    }
    if (!this.#opened) void this.#askWhy();
    this.#opened = false;
  }

  #tokenProblem(): Pick<ConnectionState, "problem" | "isTokenRefused"> {
    const isSpent = this.#tokens.isSpent(Date.now());
    const isTokenRefused = isSpent || this.#tokens.refused.getSnapshot();
    const problem = isSpent ? TOKEN_EXPIRED : isTokenRefused ? TOKEN_REFUSED : null;
    return { problem, isTokenRefused };
  }

  /** Asks over HTTP whether a connection that was not opened was refused for its token. */
  async #askWhy(): Promise<void> {
    const token = this.#tokens.current;
    const isJudged = Date.now() - this.#judgedAt < JUDGED_AGAIN_MS;
    if (this.#ended || this.#isAsking || isJudged || token === null) return;
    this.#isAsking = true;
    const isAccepted = await this.#accepts(token);
    this.#isAsking = false;
    if (isAccepted === null) return;
    this.#judgedAt = Date.now();
    const canRefresh = this.#tokens.canRefresh && Date.now() - this.#refreshedAt > REFRESH_AGAIN_MS;
    if (isAccepted || this.#ended || !canRefresh) return;
    // For the next attempt.
    this.#refreshedAt = Date.now();
    this.#tokens.refresh().catch(() => undefined);
  }

  /**
   * A refused upgrade can't be told from an unreachable server. A new token helps with one and does
   * no harm with the other, but the application's backend is not to be asked at every attempt.
   */
  #isTokenDoubtful(): boolean {
    const now = Date.now();
    if (!this.#tokens.isFresh(now)) return true;
    return !this.#opened && now - this.#refreshedAt > REFRESH_AGAIN_MS;
  }

  #finalProblem(code: number): string | null {
    switch (code) {
      case CLOSE_CODES.forbidden:
        return "The server refused this person.";
      case CLOSE_CODES.replaced:
        return "This session was continued elsewhere.";
      case CLOSE_CODES.token_expired:
        return this.#tokens.canRefresh ? null : TOKEN_EXPIRED;
      default:
        return null;
    }
  }

  /** Asked by `phoenix` when it plans the next attempt. */
  #nextWaitMs(tries: number): number {
    const wait = this.#wantedWaitMs ?? backoffMs(tries);
    this.#wantedWaitMs = null;
    if (this.#ended) return wait;
    this.#store.patch({ status: "reconnecting", retryAt: Date.now() + wait });
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connectHidden(), wait + 1000);
    return wait;
  }

  #connectHidden(): void {
    if (this.#ended || this.socket.isConnected()) return;
    if (globalThis.document?.visibilityState === "hidden") this.socket.connect();
  }

  #end(problem: string | null, isTokenRefused: boolean): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#store.patch({ status: "closed", retryAt: null, problem, isTokenRefused });
  }
}

/** Half to all of the step, so that those who lost a server together don't return together. */
function backoffMs(tries: number): number {
  const step = BACKOFF_MS[tries - 1] ?? BACKOFF_MAX_MS;
  return Math.round(step * (0.5 + Math.random() / 2));
}

function parseReason(text: string): { code: string | null; reconnectAfterMs: number | null } {
  try {
    const reason = JSON.parse(text) as { code?: unknown; reconnect_after_ms?: unknown } | null;
    const wait = reason?.reconnect_after_ms;
    return {
      code: typeof reason?.code === "string" ? reason.code : null,
      reconnectAfterMs: typeof wait === "number" && wait >= 0 ? wait : null,
    };
  } catch {
    return { code: null, reconnectAfterMs: null };
  }
}
