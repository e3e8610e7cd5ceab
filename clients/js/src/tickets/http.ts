/** The desk over HTTP: what can be asked of tickets, and done with them. */
import { PenholderError } from "../errors.ts";
import { withoutUndefined } from "../fields.ts";
import type {
  KnownPerson,
  Ticket,
  TicketCommentDetail,
  TicketDetail,
  TicketStats,
  TicketStatus,
  TicketStatusChange,
} from "../protocol.ts";
import { type TokenSource, tokenClaims } from "../token.ts";
import type {
  CommentDraft,
  DeskUser,
  ManyChanges,
  Page,
  PeopleFilters,
  TicketChanges,
  TicketDraft,
  TicketFilters,
  TicketNews,
} from "./ticket.ts";

/** A request that was refused, or not answered (`code` is `unreachable` then). */
export class TicketsError extends PenholderError {
  /** Of the answer; null when there was none. */
  readonly status: number | null;
  /** What the server says beside code and message, such as the holder of the pen. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(fields: {
    readonly code: string;
    readonly message: string;
    readonly status: number | null;
    readonly details?: Readonly<Record<string, unknown>>;
    readonly retryAfterMs?: number | null;
  }) {
    super(fields.code, fields.message, fields.retryAfterMs ?? null);
    this.name = "TicketsError";
    this.status = fields.status;
    this.details = fields.details ?? {};
  }
}

/** What a write rests on: it is refused when that is not so any more. */
export interface Guard {
  /** The version that was changed: 412 when there is a newer one. */
  readonly version?: number | undefined;
  /** The fence of the pen of `tickets:{id}`: 409 when somebody got it since. */
  readonly fence?: string | undefined;
}

export interface PageOptions {
  readonly cursor?: string | number | undefined;
  readonly limit?: number;
  readonly signal?: AbortSignal;
}

export interface TicketsOptions {
  /** Where the server is; empty: the page's own origin. */
  readonly url: string;
  readonly tokens: TokenSource;
  readonly fetch?: typeof globalThis.fetch;
}

interface Ask {
  readonly method?: string;
  readonly body?: object;
  readonly headers?: Record<string, string | undefined>;
  readonly signal?: AbortSignal | undefined;
}

/** How a list is asked for from its first page to its last. */
interface Paging {
  readonly limit: number;
  /** The parameter that takes a page's `next_cursor`. */
  readonly cursor: string;
  readonly query: Record<string, string>;
}

const BY_CURSOR: Paging = { limit: 100, cursor: "cursor", query: {} };
const LOG_LIMIT_MAX = 1000;
/** More of a ticket is not fetched: nobody reads it, and an endless cursor must end. */
const PAGES_MAX = 50;
/** A request that is known by its key is asked again this often. */
const TRIES_MAX = 4;
const WAIT_MS = 400;
const WAIT_MAX_MS = 5000;
const UNAUTHORIZED = 401;

export class TicketsClient {
  readonly #options: TicketsOptions;

  constructor(options: TicketsOptions) {
    this.#options = options;
  }

  /** Who asks, by their token. */
  async user(): Promise<DeskUser> {
    return userOf(await this.#token());
  }

  /** Who asks, where a token is there already. */
  knownUser(): DeskUser | null {
    const { current } = this.#options.tokens;
    return current === null ? null : userOf(current);
  }

  list(filters: TicketFilters = {}, page: PageOptions = {}): Promise<Page<Ticket>> {
    return this.#ask(`/v1/tickets?${queryOf(filters, page)}`, { signal: page.signal });
  }

  /** Who is known, by name. For the staff. */
  people(filters: PeopleFilters = {}, page: PageOptions = {}): Promise<Page<KnownPerson>> {
    return this.#ask(`/v1/users?${queryOf(filters, page)}`, { signal: page.signal });
  }

  stats(signal?: AbortSignal): Promise<TicketStats> {
    return this.#ask("/v1/tickets/stats", { signal });
  }

  read(id: string, signal?: AbortSignal): Promise<TicketDetail> {
    return this.#ask(ticketPath(id), { signal });
  }

  create(draft: TicketDraft): Promise<TicketDetail> {
    return this.#post("/v1/tickets", draft);
  }

  update(id: string, changes: TicketChanges, guard: Guard = {}): Promise<Ticket> {
    return this.#ask(ticketPath(id), { method: "PATCH", body: changes, headers: guarded(guard) });
  }

  transition(id: string, to: TicketStatus, reason?: string): Promise<Ticket> {
    return this.#post(ticketPath(id, "/transitions"), withoutUndefined({ to, reason }));
  }

  /**
   * Changes many tickets, all of them or none; answers those that are different now. A refusal names each that is
   * refused in `details.refused`, see `refusedOf`.
   */
  async updateMany(ids: readonly string[], changes: ManyChanges): Promise<readonly Ticket[]> {
    const { data } = await this.#post<{ data: readonly Ticket[] }>("/v1/tickets/bulk", {
      ids,
      changes,
    });
    return data;
  }

  /** Assigns it to somebody, or to nobody. */
  assign(id: string, userId: string | null): Promise<Ticket> {
    const path = ticketPath(id, "/assignee");
    if (userId === null) return this.#ask(path, { method: "DELETE" });
    return this.#ask(path, { method: "PUT", body: { user_id: userId } });
  }

  async remove(id: string, guard: Guard = {}): Promise<void> {
    await this.#ask(ticketPath(id), { method: "DELETE", headers: guarded(guard) });
  }

  /** All comments that the caller may see. */
  comments(id: string, signal?: AbortSignal): Promise<readonly TicketCommentDetail[]> {
    return this.#all(ticketPath(id, "/comments"), signal);
  }

  comment(id: string, draft: CommentDraft): Promise<TicketCommentDetail> {
    return this.#post(ticketPath(id, "/comments"), withoutUndefined(draft));
  }

  editComment(id: string, content: string): Promise<TicketCommentDetail> {
    return this.#ask(`/v1/comments/${encodeURIComponent(id)}`, {
      method: "PATCH",
      body: { content },
    });
  }

  async deleteComment(id: string): Promise<void> {
    await this.#ask(`/v1/comments/${encodeURIComponent(id)}`, { method: "DELETE" });
  }

  history(id: string, signal?: AbortSignal): Promise<readonly TicketStatusChange[]> {
    return this.#all(ticketPath(id, "/history"), signal);
  }

  /** What a topic has told since `after`, or since the first event that the log has kept. */
  async events(
    topic: string,
    after?: number,
    signal?: AbortSignal,
  ): Promise<readonly TicketNews[]> {
    const path = `/v1/topics/${encodeURIComponent(topic)}/events`;
    const query = after === undefined ? {} : { after: String(after) };
    return this.#all(path, signal, { limit: LOG_LIMIT_MAX, cursor: "after", query });
  }

  async #all<T>(
    path: string,
    signal: AbortSignal | undefined,
    { limit, cursor, query }: Paging = BY_CURSOR,
  ): Promise<readonly T[]> {
    const all: T[] = [];
    const asked = new URLSearchParams({ ...query, limit: String(limit) });
    for (let page = 0; page < PAGES_MAX; page += 1) {
      const { data, next_cursor }: Page<T> = await this.#ask(`${path}?${asked}`, { signal });
      all.push(...data);
      if (next_cursor == null) break;
      asked.set(cursor, String(next_cursor));
    }
    return all;
  }

  /** Under a key of its own, so that asking again after a lost answer does nothing twice. */
  async #post<T>(path: string, body: object): Promise<T> {
    const headers = { "idempotency-key": newKey() };
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#ask(path, { method: "POST", body, headers });
      } catch (error) {
        if (attempt >= TRIES_MAX || !(error instanceof TicketsError) || !isPassing(error)) {
          throw error;
        }
        await pause(Math.min(error.retryAfterMs ?? WAIT_MS * attempt, WAIT_MAX_MS));
      }
    }
  }

  /** Whether the server takes a token; null where it does not say. */
  async accepts(token: string): Promise<boolean | null> {
    try {
      const { status } = await this.#fetch("/v1/tickets?limit=1", {}, token);
      return status >= 500 || status === 429 ? null : status !== UNAUTHORIZED;
    } catch {
      return null;
    }
  }

  async #ask<T>(path: string, ask: Ask): Promise<T> {
    const { tokens } = this.#options;
    const token = await this.#token();
    let response = await this.#fetch(path, ask, token);
    if (response.status === UNAUTHORIZED && tokens.canRefresh) {
      const other = await tokens.refresh().catch(() => token);
      if (other !== token) response = await this.#fetch(path, ask, other);
    }
    if (!response.ok) throw await refusal(response);
    if (response.status === 204) return undefined as T;
    const text = await response.text().catch(() => {
      throw unreachable();
    });
    return (text === "" ? undefined : JSON.parse(text)) as T;
  }

  async #fetch(path: string, { method = "GET", body, signal, ...ask }: Ask, token: string) {
    const { url, tokens, fetch = globalThis.fetch } = this.#options;
    const headers = withoutUndefined({
      authorization: `Bearer ${token}`,
      "content-type": body === undefined ? undefined : "application/json",
      ...ask.headers,
    }) as Record<string, string>;
    const init = { method, headers, signal: signal ?? null };
    try {
      const response = await fetch(
        `${url}${path}`,
        body === undefined ? init : { ...init, body: JSON.stringify(body) },
      );
      if (response.status < 500) tokens.judged(token, response.status !== UNAUTHORIZED);
      return response;
    } catch (error) {
      if (signal?.aborted) throw error;
      throw unreachable();
    }
  }

  async #token(): Promise<string> {
    const { tokens } = this.#options;
    if (tokens.current !== null && tokens.isFresh(Date.now())) return tokens.current;
    try {
      return await tokens.refresh();
    } catch (error) {
      const message = `No token: ${error instanceof Error ? error.message : String(error)}`;
      throw new TicketsError({ code: "unreachable", message, status: null });
    }
  }
}

function userOf(token: string): DeskUser {
  const { sub, role, name, kind } = tokenClaims(token);
  const id = sub ?? "";
  const isAi = kind === "ai";
  return { id, role: role ?? "customer", name: name ?? id, kind: isAi ? "ai" : "human" };
}

/** A word that may be repeated is a list. */
function queryOf(filters: object, { cursor, limit }: PageOptions): URLSearchParams {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries({ ...filters, cursor, limit })) {
    for (const word of Array.isArray(value) ? value : [value]) {
      if (word !== undefined && word !== "") query.append(name, String(word));
    }
  }
  return query;
}

function ticketPath(id: string, rest = ""): string {
  return `/v1/tickets/${encodeURIComponent(id)}${rest}`;
}

function guarded({ version, fence }: Guard): Record<string, string | undefined> {
  return {
    "if-match": version === undefined ? undefined : `"${version}"`,
    "penholder-fence": fence,
  };
}

/** Whether the same request can be taken later: it did not arrive, was too early, or is being done. */
function isPassing({ status, retryAfterMs }: TicketsError): boolean {
  if (status === null || status === 429 || status === 503) return true;
  return status === 409 && retryAfterMs !== null;
}

function unreachable(): TicketsError {
  const message = "The server cannot be reached. Nothing is lost: try again.";
  return new TicketsError({ code: "unreachable", message, status: null });
}

async function refusal(response: Response): Promise<TicketsError> {
  const { status } = response;
  const body = (await response.json().catch(() => null)) as Record<string, unknown> | null;
  const text = (value: unknown, other: string) => (typeof value === "string" ? value : other);
  const { code, message, details, ...rest } = body ?? {};
  const wait = Number(response.headers.get("retry-after") ?? Number.NaN);
  return new TicketsError({
    code: text(code, "unknown"),
    message: text(message, `The server answered ${status}.`),
    status,
    details: { ...rest, ...(details as object | undefined) },
    retryAfterMs: Number.isFinite(wait) ? wait * 1000 : null,
  });
}

/** `randomUUID` is there in secure contexts only. */
function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
