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
export interface LogLine extends Pick<HistoryEntry, "at" | "actor" | "what" | "reason"> {
  /** The status after a change of many tickets, which does not say what it was before; else null. */
  readonly status: string | null;
}

/**
 * The history of the status is whole however long ago it began, the log has the rest. A change of status
 * that both tell is one, and so are a collision and the change that it is about: who writes without the pen
 * is told of beside what they wrote, in one transaction, and alone where they were refused. A change of
 * many tickets has a line for the status, too, where it was another before.
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
  let collision: Deed | null = null;
  for (const [seq, { status, ...line }] of log) {
    const { at, what } = line;
    // Before what else was changed with it, whoever tells of it.
    if (status !== null) order.set(`${at} ${status}`, seq - 0.5);
    if (what.type === "fields" && what.names.length === 0) continue;
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
  const sorted = () =>
    [...entries.values()].sort(
      (a, b) => Date.parse(a.at) - Date.parse(b.at) || place(a) - place(b),
    );
  const told = sorted();
  const untold = statusesOfMany(log, told, place);
  for (const entry of untold) entries.set(entry.key, entry);
  return untold.length === 0 ? told : sorted();
}

/** What changes of many tickets have made of the status, where none of the entries tells it. */
function statusesOfMany(
  log: ReadonlyMap<number, LogLine>,
  entries: readonly HistoryEntry[],
  place: (entry: HistoryEntry) => number,
): readonly HistoryEntry[] {
  const untold: HistoryEntry[] = [];
  let from: string | null = null;
  let next = 0;
  for (const [seq, { at, actor, status }] of log) {
    if (status === null) continue;
    for (let entry = entries[next]; entry !== undefined; entry = entries[++next]) {
      const order = Date.parse(entry.at) - Date.parse(at) || place(entry) - seq;
      if (order > 0) break;
      if (entry.what.type === "status") from = entry.what.to;
    }
    if (from !== null && from !== status) {
      const what = { type: "status", from, to: status } as const;
      untold.push({ key: `${at} ${status}`, at, actor, what, reason: null, penOf: null });
    }
    from = status;
  }
  return untold;
}

type Deed = Omit<LogLine, "status">;

function isOneWrite(collision: Deed, line: Deed): boolean {
  const isSame = line.at === collision.at && line.actor?.id === collision.actor?.id;
  return isSame && line.what.type !== "collision";
}

function holderOf({ what }: Deed): string | null {
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
    case "tickets_bulk_updated":
      return { type: "fields", names: fieldsOf(event.changes ?? {}) };
    case "collision":
      return { type: "collision", holder: event.holder?.name ?? "" };
    default:
      return null;
  }
}

/** What has changed, without the status, which has a line of its own. The staff is told of an assignee by id and name. */
function fieldsOf(changes: Readonly<Record<string, unknown>>): readonly string[] {
  const isTwice = (name: string) => name === "assignee_name" && "assigned_to_id" in changes;
  return Object.keys(changes).filter((name) => name !== "status" && !isTwice(name));
}
