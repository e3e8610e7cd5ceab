/**
 * A list of tickets as a pure fold of answers over HTTP and events of a topic.
 *
 * - An event is applied at most once: one whose `seq` is not above the last is a repetition.
 * - An answer that is out of date does not overwrite what a newer event told: of a ticket its version says which is the
 *   newer, of somebody's name the events that had been applied when the answer was asked for.
 * - Somebody is called what was told last, on all rows: rows that nothing was told of since keep an older name.
 * - The list is whole from the newest ticket down to the last one fetched: what lies below comes with
 *   the next page, not before it.
 */

import type { Ticket } from "../protocol.ts";
import { isAnswerNews, isEventNews, type Known } from "./newness.ts";
import type { Page, TicketFilters, TicketNews } from "./ticket.ts";

export interface TicketList {
  readonly filters: TicketFilters;
  /** What is shown, the newest ticket first. */
  readonly rows: readonly Ticket[];
  /** What asks for the next page; null when there is none. */
  readonly cursor: string | number | null;
  /** Whether the first page has come. */
  readonly isLoaded: boolean;
  /** The last event applied. */
  readonly seq: number;
  /** All that is known, what the filters leave out included. */
  readonly known: ReadonlyMap<string, Entry>;
  /** Counts fetches from the start, so that what was told since can be told apart. */
  readonly fetches: number;
  /** The last ticket of the last page. */
  readonly end: Ticket | null;
  /** Who is known by name, by id: assignees, and who did what was told. The last told comes last. */
  readonly names: ReadonlyMap<string, string>;
  /** By which event each of them was named last, by id: no answer that was asked for before it names them. */
  readonly namedAt: ReadonlyMap<string, number>;
}

/** A ticket; null when it is gone. */
interface Entry {
  readonly known: Known | null;
  /** The fetch during or after which it was told. */
  readonly fetch: number;
}

export function emptyList(filters: TicketFilters): TicketList {
  return {
    filters,
    rows: [],
    cursor: null,
    isLoaded: false,
    seq: 0,
    known: new Map(),
    fetches: 0,
    end: null,
    names: new Map(),
    namedAt: new Map(),
  };
}

/** To be called when the first page is asked for: what events tell from here on is newer than the answer. */
export function beginFetch(list: TicketList): TicketList {
  return { ...list, fetches: list.fetches + 1 };
}

/**
 * Takes the first page in place of all that was known before it was asked for. `since` is here, as for all answers, the
 * `seq` that the list had then.
 */
export function withFirstPage(list: TicketList, page: Page<Ticket>, since: number): TicketList {
  const known = new Map([...list.known].filter(([, entry]) => entry.fetch === list.fetches));
  return withPage({ ...list, known, isLoaded: true, end: null }, page, since);
}

/** Takes the page after the last one. */
export function withPage(list: TicketList, page: Page<Ticket>, since: number): TicketList {
  const end = page.data.at(-1) ?? list.end;
  return withAnswers({ ...list, cursor: page.next_cursor, end }, page.data, since);
}

/** Takes an answer to a single request: a ticket that was made or changed here. */
export function withTicket(list: TicketList, ticket: Ticket, since: number): TicketList {
  return withAnswers(list, [ticket], since);
}

function withAnswers(list: TicketList, answers: readonly Ticket[], since: number): TicketList {
  const known = new Map(list.known);
  const news: Ticket[] = [];
  for (const answered of answers) {
    const entry = known.get(answered.id);
    if (entry?.known === null || !isAnswerNews(entry?.known, answered)) continue;
    const ticket = asNamed(list, answered, since);
    known.set(ticket.id, { known: { ticket, isLive: false }, fetch: list.fetches });
    news.push(ticket);
  }
  return shown(named({ ...list, known }, assigneesOf(news)));
}

export function withEvent(list: TicketList, event: TicketNews): TicketList {
  if (event.seq <= list.seq) return list;
  const told = event.tickets ?? (event.ticket === undefined ? [] : [event.ticket]);
  const known = new Map(list.known);
  const news: Ticket[] = [];
  for (const ticket of told) {
    const entry = known.get(ticket.id);
    // Again at the end: the order is that of the last news.
    known.delete(ticket.id);
    if (entry !== undefined) known.set(ticket.id, entry);
    if (event.event === "ticket_deleted") {
      known.set(ticket.id, { known: null, fetch: list.fetches });
    } else if (entry?.known !== null && isEventNews(entry?.known, ticket)) {
      known.set(ticket.id, { known: { ticket, isLive: true }, fetch: list.fetches });
      news.push(ticket);
    }
  }
  const names = [...assigneesOf(news), ...actorOf(event)];
  const namedAt = new Map([...list.namedAt, ...names.map(([id]) => [id, event.seq] as const)]);
  const next = { ...list, known: bounded(known, list.rows), seq: event.seq, namedAt };
  return shown(named(next, names));
}

type Named = readonly [id: string, name: string];

function assigneesOf(tickets: readonly Ticket[]): readonly Named[] {
  return tickets.flatMap(({ assigned_to_id: id, assignee_name: name }) =>
    id == null || name === null ? [] : [[id, name] as const],
  );
}

function actorOf({ actor }: TicketNews): readonly Named[] {
  // An event of the pen has nobody to it who could be named by it.
  return actor === undefined ? [] : [[actor.id, actor.name]];
}

/** An answer knows nothing newer of those of whom events have told since it was asked for. */
function asNamed({ names, namedAt }: TicketList, answered: Ticket, since: number): Ticket {
  const id = answered.assigned_to_id ?? "";
  const name = (namedAt.get(id) ?? 0) > since ? names.get(id) : undefined;
  return name === undefined ? answered : { ...answered, assignee_name: name };
}

/** More people's names are not remembered. */
const NAMES_MAX = 1000;

/** Takes what people are called now, and calls them so on every row. */
function named(list: TicketList, told: readonly Named[]): TicketList {
  const fresh = new Map([...new Map(told)].filter(([id, name]) => list.names.get(id) !== name));
  if (fresh.size === 0) return list;
  const names = new Map(list.names);
  for (const [id, name] of fresh) {
    names.delete(id);
    names.set(id, name);
  }
  const known = new Map(list.known);
  for (const [id, { known: old, fetch }] of known) {
    const name = fresh.get(old?.ticket.assigned_to_id ?? "");
    if (old === null || name === undefined || old.ticket.assignee_name === name) continue;
    const ticket = { ...old.ticket, assignee_name: name };
    known.set(id, { known: { ...old, ticket }, fetch });
  }
  const kept = new Map([...names].slice(-NAMES_MAX));
  const namedAt = new Map([...list.namedAt].filter(([id]) => kept.has(id)));
  return { ...list, known, names: kept, namedAt };
}

/** What is not shown is remembered so long only that an answer on its way is not taken for news. */
const UNSHOWN_MAX = 200;

function bounded(known: Map<string, Entry>, rows: readonly Ticket[]): Map<string, Entry> {
  if (known.size <= rows.length + 2 * UNSHOWN_MAX) return known;
  const isShown = new Set(rows.map(({ id }) => id));
  const unshown = [...known.keys()].filter((id) => !isShown.has(id));
  for (const id of unshown.slice(0, -UNSHOWN_MAX)) known.delete(id);
  return known;
}

function shown(list: TicketList): TicketList {
  if (!list.isLoaded) return list;
  const { filters, cursor, end } = list;
  const isCovered = (ticket: Ticket) =>
    cursor === null || end === null || newestFirst(ticket, end) <= 0;
  const rows = [...list.known.values()]
    .flatMap(({ known }) => (known === null ? [] : [known.ticket]))
    .filter((ticket) => isCovered(ticket) && matches(ticket, filters))
    .sort(newestFirst);
  return { ...list, rows };
}

/** The order of the server: by creation, and by id within a millisecond. */
function newestFirst(a: Ticket, b: Ticket): number {
  const byTime = Date.parse(b.created_at) - Date.parse(a.created_at);
  if (byTime !== 0) return byTime;
  return a.id < b.id ? 1 : a.id > b.id ? -1 : 0;
}

/** Whether the server would list it. */
export function matches(ticket: Ticket, filters: TicketFilters): boolean {
  const { status, assigned_to, user_id, priority, category, q } = filters;
  if (status !== undefined && status.length > 0 && !status.includes(ticket.status)) return false;
  if (priority !== undefined && ticket.priority !== priority) return false;
  if (category !== undefined && ticket.category !== category) return false;
  if (user_id !== undefined && ticket.user_id !== user_id) return false;
  if (assigned_to === "none" && ticket.assignee_name !== null) return false;
  if (assigned_to !== undefined && assigned_to !== "none") {
    if (ticket.assigned_to_id !== assigned_to) return false;
  }
  if (q === undefined || q === "") return true;
  return `${ticket.title}\n${ticket.description}`.toLowerCase().includes(q.toLowerCase());
}
