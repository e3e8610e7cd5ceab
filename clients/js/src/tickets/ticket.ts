/** Tickets as HTTP and the channels of `tickets:…` tell them. Staff see more fields than customers. */
import type {
  Kind,
  PersonBrief,
  Role,
  Ticket,
  TicketAssigned,
  TicketAttachment,
  TicketCategory,
  TicketCollision,
  TicketCommentEvent,
  TicketEvent,
  TicketEvents,
  TicketPriority,
  TicketPriorityChanged,
  TicketStatus,
  TicketStatusChanged,
  TicketUpdated,
} from "../protocol.ts";

export const TICKET_STATUSES = [
  "open",
  "in_progress",
  "waiting_for_user",
  "waiting_for_agent",
  "resolved",
  "closed",
] as const satisfies readonly TicketStatus[];

export const TICKET_PRIORITIES = [
  "low",
  "medium",
  "high",
  "urgent",
] as const satisfies readonly TicketPriority[];

export const TICKET_CATEGORIES = [
  "general",
  "technical",
  "billing",
  "account",
  "security",
  "feature_request",
  "bug_report",
] as const satisfies readonly TicketCategory[];

/** Where a ticket may go from each status. The server decides; this is for menus. */
export const TICKET_TRANSITIONS: Readonly<Record<TicketStatus, readonly TicketStatus[]>> = {
  open: ["in_progress", "waiting_for_user", "waiting_for_agent", "resolved", "closed"],
  in_progress: ["open", "waiting_for_user", "waiting_for_agent", "resolved", "closed"],
  waiting_for_user: ["in_progress", "waiting_for_agent", "resolved", "closed"],
  waiting_for_agent: ["in_progress", "waiting_for_user", "resolved", "closed"],
  resolved: ["open", "waiting_for_agent", "closed"],
  closed: ["open"],
};

/** A page of a list, and what asks for the next. */
export interface Page<T> {
  readonly data: readonly T[];
  readonly next_cursor: string | number | null;
}

export interface TicketFilters {
  readonly status?: readonly TicketStatus[];
  /** A person's id, or `none`. */
  readonly assigned_to?: string;
  readonly user_id?: string;
  readonly priority?: TicketPriority;
  readonly category?: TicketCategory;
  /** Looked for in title and description. */
  readonly q?: string;
}

/** A file that lies elsewhere, as it is attached: an `http` or `https` URL. */
export type FileDraft = Pick<TicketAttachment, "url" | "name" | "size">;

/** The server's bounds on the files of one ticket, and of one comment. */
export const TICKET_FILES_MAX = 5;
export const COMMENT_FILES_MAX = 3;

/** With its files, as an answer over HTTP has them. Events do not: files never change. */
export type WithFiles<T> = T & { readonly attachments?: readonly TicketAttachment[] };

export interface TicketDraft {
  readonly title: string;
  readonly description: string;
  readonly category?: TicketCategory;
  readonly priority?: TicketPriority;
  readonly attachments?: readonly FileDraft[];
}

export interface TicketChanges extends Partial<Omit<TicketDraft, "attachments">> {
  readonly metadata?: Readonly<Record<string, unknown>>;
}

/** What is to be different about many tickets at once. What is absent stays. */
export interface ManyChanges {
  readonly status?: TicketStatus;
  readonly category?: TicketCategory;
  readonly priority?: TicketPriority;
  /** A person's id; null: nobody. */
  readonly assigned_to_id?: string | null;
}

/** The server's bound on the tickets of one change. */
export const MANY_TICKETS_MAX = 100;

export interface CommentDraft {
  readonly content: string;
  readonly parent_id?: string | null;
  readonly is_internal?: boolean;
  readonly attachments?: readonly FileDraft[];
}

export interface PeopleFilters {
  readonly role?: readonly Role[];
  /** Looked for in names and ids. */
  readonly q?: string;
}

export type TicketEventName = keyof TicketEvents;

/** What any event of tickets may say beside what all of them do; which of it is there depends on `event`. */
type Said = Partial<
  Omit<
    TicketUpdated &
      TicketStatusChanged &
      TicketAssigned &
      TicketPriorityChanged &
      TicketCommentEvent &
      TicketCollision,
    keyof TicketEvent | "changes"
  >
>;

/** An event of a topic of tickets. */
export interface TicketNews extends Said {
  readonly seq: number;
  readonly event: TicketEventName;
  readonly occurred_at: string;
  readonly actor: PersonBrief;
  /** After the change; absent in a bulk event. */
  readonly ticket?: Ticket;
  /** Of a bulk event: those that belong to the topic. */
  readonly tickets?: readonly Ticket[];
  readonly changes?: Readonly<Record<string, unknown>>;
}

const EVENT = /^(ticket_|tickets_|comment_|internal_note_|collision$)/;

/** Reads an event of a channel; null for one that is not about tickets. */
export function ticketEvent(event: string, payload: unknown): TicketNews | null {
  const { seq } = (payload ?? {}) as { seq?: unknown };
  if (!EVENT.test(event) || typeof seq !== "number") return null;
  return { ...(payload as TicketNews), event: event as TicketEventName };
}

export const ALL_TICKETS = "tickets:all";

/** The topic of one ticket: who views it, its pen, its events. */
export function ticketTopic(id: string): string {
  return `tickets:${id}`;
}

/** Whether somebody of this role works at the desk. */
export function isStaff(role: Role | (string & Record<never, never>) | null): boolean {
  return role === "admin" || role === "agent";
}

/** Somebody who uses the desk, as their token says. */
export interface DeskUser {
  readonly id: string;
  readonly role: string;
  readonly name: string;
  readonly kind: Kind;
}

/**
 * The topic of somebody's tickets, by the `sub` of their tokens: what is none of `A-Z a-z 0-9 _ . -`
 * is written `~XX`, byte by byte of UTF-8. One of more than 200 bytes there is not; the server
 * refuses it.
 */
export function userTopic(sub: string): string {
  const byte = (it: number) => `~${it.toString(16).toUpperCase().padStart(2, "0")}`;
  const escaped = (text: string) => Array.from(new TextEncoder().encode(text), byte).join("");
  return `tickets:user:${sub.replace(/[^A-Za-z0-9_.-]+/g, escaped)}`;
}

/** Where somebody hears of the tickets that they may see. */
export function listTopic({ id, role }: DeskUser): string {
  return isStaff(role) ? ALL_TICKETS : userTopic(id);
}
