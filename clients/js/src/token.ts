import { type Readable, Store } from "./store.ts";

/** A token, or a function that fetches a fresh one. */
export type TokenInput = string | (() => string | Promise<string>);

/** The claims that the client reads. It does not verify them: the server does. */
export interface TokenClaims {
  readonly sub: string | null;
  /** In ms since the epoch. */
  readonly expiresAt: number | null;
  readonly name: string | null;
  readonly role: string | null;
  readonly kind: string | null;
}

/** Refreshed before a connection attempt when it would expire within this. */
const FRESH_MS = 30_000;

/** Keeps the current token, and fetches another when the old one is (nearly) spent. */
export class TokenSource {
  readonly #input: TokenInput;
  #current: string | null;
  #pending: Promise<string> | null = null;
  readonly #refused = new Store<boolean>(false);
  /** The first that was refused, where another may be accepted. */
  #doubted: string | null = null;

  constructor(input: TokenInput) {
    this.#input = input;
    this.#current = typeof input === "string" ? input : null;
  }

  /** The token last fetched; null before the first. */
  get current(): string | null {
    return this.#current;
  }

  /**
   * Whether the server takes no token any more: it has refused the only one, or one and the next that was fetched, and
   * accepted none since.
   */
  get refused(): Readable<boolean> {
    return this.#refused;
  }

  /** The server has refused this token, or accepted it; one that is not the current one any more is no matter. */
  judged(token: string, isAccepted: boolean): void {
    if (token !== this.#current) return;
    const isLast = !this.canRefresh || (this.#doubted !== null && this.#doubted !== token);
    this.#doubted = isAccepted ? null : (this.#doubted ?? token);
    if (isAccepted || isLast) this.#refused.set(!isAccepted);
  }

  /** Whether asking again can give another token. */
  get canRefresh(): boolean {
    return typeof this.#input === "function";
  }

  /** Whether the current token is there and not about to expire. */
  isFresh(now: number): boolean {
    if (this.#current === null) return false;
    const { expiresAt } = tokenClaims(this.#current);
    return expiresAt === null || expiresAt - now > FRESH_MS;
  }

  /** Whether the current token is of no use any more, by this machine's clock, and there will be no other. */
  isSpent(now: number): boolean {
    if (this.canRefresh || this.#current === null) return false;
    const { expiresAt } = tokenClaims(this.#current);
    return expiresAt !== null && expiresAt <= now;
  }

  /** Fetches a token; calls made while one is on its way share it. */
  refresh(): Promise<string> {
    const input = this.#input;
    if (typeof input === "string") return Promise.resolve(input);
    this.#pending ??= Promise.resolve()
      .then(input)
      .then((token) => {
        this.#current = token;
        // It is the same, so there is no other.
        if (token === this.#doubted) this.#refused.set(true);
        return token;
      })
      .finally(() => {
        this.#pending = null;
      });
    return this.#pending;
  }
}

/** Reads a JWT's claims; a token that is not a JWT has none. */
export function tokenClaims(token: string): TokenClaims {
  const claims = payloadOf(token);
  const text = (claim: string) => {
    const value = claims[claim];
    return typeof value === "string" ? value : null;
  };
  return {
    sub: text("sub"),
    expiresAt: typeof claims.exp === "number" ? claims.exp * 1000 : null,
    name: text("name"),
    role: text("role"),
    kind: text("kind"),
  };
}

function payloadOf(token: string): Record<string, unknown> {
  try {
    const part = token.split(".")[1] ?? "";
    const bytes = atob(part.replaceAll("-", "+").replaceAll("_", "/"));
    const json = new TextDecoder().decode(Uint8Array.from(bytes, (c) => c.charCodeAt(0)));
    return (JSON.parse(json) as Record<string, unknown> | null) ?? {};
  } catch {
    return {};
  }
}
