import type { ErrorReply } from "./protocol.ts";

/** A push or join that the server refused, or did not answer. */
export class PenholderError extends Error {
  /** Stable code of docs/PROTOCOL.md, or `timeout`, `not_joined`. */
  readonly code: string;
  /** When trying again can help: not before this many ms. */
  readonly retryAfterMs: number | null;

  constructor(code: string, message: string, retryAfterMs: number | null = null) {
    super(message);
    this.name = "PenholderError";
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }

  /** From an error reply; tolerates a server, or proxy, that leaves fields out. */
  static from(reply: Partial<ErrorReply> | undefined): PenholderError {
    const code = reply?.code || reply?.reason || "unknown";
    return new PenholderError(
      code,
      reply?.message || reply?.reason || code,
      reply?.retry_after_ms ?? null,
    );
  }
}

/** Refusals that asking again with the same words can't change. */
const FINAL: ReadonlySet<string> = new Set([
  "not_authorized",
  "forbidden",
  "invalid_token",
  "invalid_topic",
  "invalid_payload",
  "invalid_meta",
  "meta_too_large",
  "malformed",
  "too_many_topics",
]);

/** Whether a join refused with `code` is to be given up. */
export function isFinal(code: string): boolean {
  return FINAL.has(code);
}
