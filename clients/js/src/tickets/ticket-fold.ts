/**
 * One ticket with its comments and history as a pure fold of answers over HTTP and events of its topic.
 * The rules are those of `list-fold.ts`.
 */
import type {
  PersonBrief,
  Ticket,
  TicketAttachment,
  TicketComment,
  TicketStatusChange,
} from "../protocol.ts";
import { type HistoryEntry, historyOf, type LogLine, whatOf } from "./history.ts";
import { isAnswerNews, isEventNews, type Known } from "./newness.ts";
import type { TicketNews, WithFiles } from "./ticket.ts";

export interface TicketRecord {
  readonly ticket: Ticket | null;
  /** By whom it was deleted while it was looked at. */
  readonly deletedBy: PersonBrief | null;
  /** The oldest first. */
  readonly comments: readonly TicketComment[];
  /** All that happened, the oldest first. */
  readonly history: readonly HistoryEntry[];
  /** Of all who have done something here, by id: what they were called when they did it last. */
  readonly names: ReadonlyMap<string, NamedAt>;
  /** Files, by the id of the ticket or comment whose they are; nothing for one of which they are not known yet. */
  readonly files: Files;
  readonly seq: number;
  readonly facts: Facts;
}

/** What somebody was called, and when that was: ISO 8601, by the server. */
export interface NamedAt {
  readonly name: string;
  readonly at: string;
}

type Files = ReadonlyMap<string, readonly TicketAttachment[]>;

interface Facts {
  readonly known: Known | null;
  readonly comments: ReadonlyMap<string, CommentEntry>;
  /** What the log tells of changes, by `seq`. */
  readonly log: ReadonlyMap<number, LogLine>;
  readonly names: ReadonlyMap<string, NamedAt>;
  readonly changes: readonly TicketStatusChange[];
  readonly fetches: number;
}

/** A comment; null when it is gone. */
interface CommentEntry {
  readonly comment: TicketComment | null;
  readonly isLive: boolean;
  readonly fetch: number;
}

/** More of a ticket's log is not shown, and more people's names are not remembered. */
const LOG_LEN_MAX = 1000;
const NAMES_MAX = 1000;

/** What a fetch from the start has brought. */
export interface Fetched {
  readonly ticket: WithFiles<Ticket>;
  readonly comments: readonly WithFiles<TicketComment>[];
  readonly changes: readonly TicketStatusChange[];
  /** The log of the topic, as far as it is kept. */
  readonly log: readonly TicketNews[];
}

export const EMPTY_RECORD: TicketRecord = {
  ticket: null,
  deletedBy: null,
  comments: [],
  history: [],
  names: new Map(),
  files: new Map(),
  seq: 0,
  facts: {
    known: null,
    comments: new Map(),
    log: new Map(),
    names: new Map(),
    changes: [],
    fetches: 0,
  },
};

/** To be called when all is asked for anew: what events tell from here on is newer than the answer. */
export function beginRecordFetch(record: TicketRecord): TicketRecord {
  const { facts } = record;
  const known = facts.known && { ...facts.known, isLive: false };
  return { ...record, facts: { ...facts, known, fetches: facts.fetches + 1 } };
}

/** Takes what was fetched in place of all that was known before it was asked for. */
export function withFetched(record: TicketRecord, fetched: Fetched): TicketRecord {
  const { fetches } = record.facts;
  const since = [...record.facts.comments].filter(([, entry]) => entry.fetch === fetches);
  const comments = new Map(since);
  for (const comment of fetched.comments) answeredComment(comments, comment, fetches);
  const { known } = record.facts;
  const facts: Facts = {
    ...record.facts,
    known: isAnswerNews(known ?? undefined, fetched.ticket)
      ? { ticket: fetched.ticket, isLive: false }
      : known,
    comments,
    changes: fetched.changes,
    ...withLog(record.facts, fetched.log),
  };
  const files = filesOf(record.files, [fetched.ticket, ...fetched.comments]);
  return shown({ ...record, files, facts });
}

/** Takes the files of comments of which events have told without them. */
export function withFilesOf(
  record: TicketRecord,
  comments: readonly WithFiles<TicketComment>[],
): TicketRecord {
  return { ...record, files: filesOf(record.files, comments) };
}

/** Whether there is a comment of which it is not known yet what files it has. */
export function lacksFiles({ comments, files }: TicketRecord): boolean {
  return comments.some(({ id }) => !files.has(id));
}

function filesOf(known: Files, answered: readonly WithFiles<{ readonly id: string }>[]): Files {
  const files = new Map(known);
  for (const { id, attachments } of answered) if (attachments) files.set(id, attachments);
  return files;
}

/** Takes the answer to a change that was made here. */
export function withAnswer(record: TicketRecord, ticket: Ticket): TicketRecord {
  if (!isAnswerNews(record.facts.known ?? undefined, ticket)) return record;
  return shown({ ...record, facts: { ...record.facts, known: { ticket, isLive: false } } });
}

/** Takes a comment that was made or changed here. */
export function withComment(record: TicketRecord, comment: WithFiles<TicketComment>): TicketRecord {
  const comments = new Map(record.facts.comments);
  answeredComment(comments, comment, record.facts.fetches);
  const files = filesOf(record.files, [comment]);
  return shown({ ...record, files, facts: { ...record.facts, comments } });
}

/** Takes away a comment that was deleted here. */
export function withoutComment(record: TicketRecord, id: string): TicketRecord {
  const comments = new Map(record.facts.comments);
  comments.set(id, { comment: null, isLive: true, fetch: record.facts.fetches });
  return shown({ ...record, facts: { ...record.facts, comments } });
}

export function withTicketEvent(record: TicketRecord, event: TicketNews): TicketRecord {
  if (event.seq <= record.seq) return record;
  const { known, fetches } = record.facts;
  // A ticket's own topic tells of that one only, whatever the event is called.
  const told = event.ticket ?? event.tickets?.[0];
  const isNews = told !== undefined && isEventNews(known ?? undefined, told);
  const comments = new Map(record.facts.comments);
  const { comment } = event;
  if (comment !== undefined) {
    const isGone = event.event === "comment_deleted";
    const entry = { comment: isGone ? null : comment, isLive: true, fetch: fetches };
    if (comments.get(comment.id)?.comment !== null) comments.set(comment.id, entry);
  }
  const facts: Facts = {
    ...record.facts,
    known: isNews ? { ticket: told, isLive: true } : known,
    comments,
    ...withLog(record.facts, [event]),
  };
  const deletedBy = event.event === "ticket_deleted" ? event.actor : record.deletedBy;
  return shown({ ...record, deletedBy, seq: event.seq, facts });
}

function answeredComment(
  comments: Map<string, CommentEntry>,
  comment: TicketComment,
  fetch: number,
): void {
  const entry = comments.get(comment.id);
  if (entry?.comment === null) return;
  const order =
    entry === undefined ? 1 : Date.parse(comment.updated_at) - Date.parse(entry.comment.updated_at);
  if (order < 0 || (order === 0 && entry?.isLive)) return;
  comments.set(comment.id, { comment, isLive: false, fetch });
}

/** Adds what events tell of changes and people; a `seq` that is known already is a repetition. */
function withLog(facts: Facts, events: readonly TicketNews[]): Pick<Facts, "log" | "names"> {
  const log = new Map(facts.log);
  const names = new Map(facts.names);
  for (const event of events) {
    // An event of the pen has nobody to it who could be named by it.
    if (event.actor !== undefined) name(names, event.actor, event.occurred_at);
    const what = whatOf(event);
    if (what === null || log.has(event.seq)) continue;
    const { occurred_at: at, actor, reason = null } = event;
    const status = event.tickets?.[0]?.status ?? null;
    log.set(event.seq, { at, actor, what, reason, status });
  }
  const newest = [...log].sort(([a], [b]) => a - b).slice(-LOG_LEN_MAX);
  return { log: new Map(newest), names: new Map([...names].slice(-NAMES_MAX)) };
}

function shown(record: TicketRecord): TicketRecord {
  const { known, comments, log, names, changes } = record.facts;
  const all = new Map(names);
  for (const { actor, at } of changes) if (actor != null) name(all, actor, at);
  return {
    ...record,
    ticket: known?.ticket ?? null,
    comments: [...comments.values()]
      .flatMap(({ comment }) => (comment === null ? [] : [comment]))
      .sort(oldestFirst),
    history: historyOf(log, changes),
    names: all,
  };
}

/** A fetched log tells what was long ago, also after what was told since. */
function name(names: Map<string, NamedAt>, { id, name }: PersonBrief, at: string): void {
  const known = names.get(id);
  if (known === undefined || Date.parse(known.at) <= Date.parse(at)) names.set(id, { name, at });
}

function oldestFirst(a: TicketComment, b: TicketComment): number {
  const byTime = Date.parse(a.created_at) - Date.parse(b.created_at);
  return byTime !== 0 ? byTime : a.id < b.id ? -1 : 1;
}
