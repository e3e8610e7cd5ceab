/**
 * Which of two versions of one ticket is the newer.
 *
 * Staff compare `version`. Customers have none, but the time of the last change that they may know of;
 * two changes can share a millisecond, and counting a comment changes neither. On a tie, an event counts
 * more than what was known before it, and an answer over HTTP less than what an event told since it was
 * asked for: the events that it is ahead of are on their way.
 */
import type { Ticket } from "../protocol.ts";

/** A ticket, and whether an event told it last. */
export interface Known {
  readonly ticket: Ticket;
  readonly isLive: boolean;
}

/** Whether an event that comes next in its topic tells a state at least as new. */
export function isEventNews(known: Known | undefined, told: Ticket): boolean {
  return known === undefined || compare(told, known.ticket) >= 0;
}

/** Whether an answer over HTTP tells a newer state. */
export function isAnswerNews(known: Known | undefined, answered: Ticket): boolean {
  if (known === undefined) return true;
  const order = compare(answered, known.ticket);
  return known.isLive ? order > 0 : order >= 0;
}

function compare(a: Ticket, b: Ticket): number {
  if (a.version !== undefined && b.version !== undefined) return a.version - b.version;
  return Date.parse(a.updated_at) - Date.parse(b.updated_at);
}
