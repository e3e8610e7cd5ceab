/** All that happened to a ticket, from the rows of its status and the log of its topic. */
import type { PersonBrief, TicketStatusChange } from "../protocol.ts";
import type { TicketNews } from "./ticket.ts";

/** One line of the history. */
export interface HistoryEntry {
  readonly key: string;
  readonly at: string;
  readonly actor: PersonBrief | null;
  readonly what:
    | { readonly type: "status"; readonly from: string | null; readonly to: string }
    | { readonly type: "assignee"; readonly from: string | null; readonly to: string | null }
    | { readonly type: "priority"; readonly from: string; readonly to: string }
    | { readonly type: "fields"; readonly names: readonly string[] }
    /** Somebody would have written without the pen, and was refused. */
    | { readonly type: "collision"; readonly holder: string };
  /** Why, where they said so. */
  readonly reason: string | null;
  /** Who had the pen while somebody else wrote this without it. */
  readonly penOf: string | null;
}

/** An event without the rows that it carries, which would be a copy of the ticket for each. */
export type LogLine = Pick<HistoryEntry, "at" | "actor" | "what" | "reason">;

/**
 * The history of the status is whole however long ago it began, the log has the rest. A change of status
 * that both tell is one, and so are a collision and the change that it is about: who writes without the pen
 * is told of beside what they wrote, in one transaction, and alone where they were refused.
 */
export function historyOf(
  log: ReadonlyMap<number, LogLine>,
  changes: readonly TicketStatusChange[],
): readonly HistoryEntry[] {
  const entries = new Map<string, HistoryEntry>();
  // Within a millisecond the log knows what came first.
  const order = new Map<string, number>();
  for (const { from, to, reason, actor, at } of changes) {
    const key = `${at} ${to}`;
    const what = { type: "status", from, to } as const;
    entries.set(key, { key, at, actor, what, reason, penOf: null });
  }
  let collision: LogLine | null = null;
  for (const [seq, line] of log) {
    const { at, what } = line;
    const penOf = collision !== null && isOneWrite(collision, line) ? holderOf(collision) : null;
    if (penOf === null) collision = null;
    if (what.type === "collision") {
      collision = line;
      const next = log.get(seq + 1);
      if (next !== undefined && isOneWrite(line, next)) continue;
    }
    const key = what.type === "status" ? `${at} ${what.to}` : String(seq);
    order.set(key, seq);
    entries.set(key, { key, ...line, ...entries.get(key), penOf });
  }
  const place = ({ key }: HistoryEntry) => order.get(key) ?? 0;
  return [...entries.values()].sort(
    (a, b) => Date.parse(a.at) - Date.parse(b.at) || place(a) - place(b),
  );
}

function isOneWrite(collision: LogLine, line: LogLine): boolean {
  const isSame = line.at === collision.at && line.actor?.id === collision.actor?.id;
  return isSame && line.what.type !== "collision";
}

function holderOf({ what }: LogLine): string | null {
  return what.type === "collision" ? what.holder : null;
}

/** What an event tells of a ticket's history; null where that is nothing. */
export function whatOf(event: TicketNews): HistoryEntry["what"] | null {
  switch (event.event) {
    case "ticket_created":
      return { type: "status", from: null, to: "open" };
    case "ticket_status_changed":
      return { type: "status", from: event.old_status ?? null, to: event.new_status ?? "" };
    case "ticket_priority_changed":
      return { type: "priority", from: event.old_priority ?? "", to: event.new_priority ?? "" };
    case "ticket_assigned": {
      const { old_assignee_name: from = null, new_assignee_name: to = null } = event;
      return { type: "assignee", from, to };
    }
    case "ticket_updated":
    case "tickets_bulk_updated": {
      // The status of many has rows of its own in the history.
      const names = Object.keys(event.changes ?? {}).filter((name) => name !== "status");
      return names.length === 0 ? null : { type: "fields", names };
    }
    case "collision":
      return { type: "collision", holder: event.holder?.name ?? "" };
    default:
      return null;
  }
}
