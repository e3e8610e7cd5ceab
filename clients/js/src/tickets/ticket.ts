/** Tickets as HTTP and the channels of `tickets:…` tell them. Staff see more fields than customers. */
import type { Kind, PersonBrief, Role } from "../protocol.ts";

export const TICKET_STATUSES = [
  "open",
  "in_progress",
  "waiting_for_user",
  "waiting_for_agent",
  "resolved",
  "closed",
] as const;
export type TicketStatus = (typeof TICKET_STATUSES)[number];

export const TICKET_PRIORITIES = ["low", "medium", "high", "urgent"] as const;
export type TicketPriority = (typeof TICKET_PRIORITIES)[number];

export const TICKET_CATEGORIES = [
  "general",
  "technical",
  "billing",
  "account",
  "security",
  "feature_request",
  "bug_report",
] as const;
export type TicketCategory = (typeof TICKET_CATEGORIES)[number];

/** Where a ticket may go from each status. The server decides; this is for menus. */
export const TICKET_TRANSITIONS: Readonly<Record<TicketStatus, readonly TicketStatus[]>> = {
  open: ["in_progress", "waiting_for_user", "waiting_for_agent", "resolved", "closed"],
  in_progress: ["open", "waiting_for_user", "waiting_for_agent", "resolved", "closed"],
  waiting_for_user: ["in_progress", "waiting_for_agent", "resolved", "closed"],
  waiting_for_agent: ["in_progress", "waiting_for_user", "resolved", "closed"],
  resolved: ["open", "waiting_for_agent", "closed"],
  closed: ["open"],
};

export interface Ticket {
  readonly id: string;
  readonly title: string;
  readonly description: string;
  readonly category: TicketCategory;
  readonly status: TicketStatus;
  readonly priority: TicketPriority;
  readonly slug: string;
  /** The owner; null for a guest's ticket. */
  readonly user_id: string | null;
  readonly guest: { readonly name: string; readonly email: string } | null;
  readonly assignee_name: string | null;
  /** Public comments only. */
  readonly comment_count: number;
  /** ISO 8601, UTC, as are all times of tickets. */
  readonly created_at: string;
  /** Of the last change that the viewer may know of. */
  readonly updated_at: string;
  readonly resolved_at: string | null;
  readonly closed_at: string | null;
  /** Staff only, as are the next two. */
  readonly assigned_to_id?: string | null;
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly version?: number;
}

export interface TicketComment {
  readonly id: string;
  readonly ticket_id: string;
  readonly author_id: string | null;
  readonly parent_id: string | null;
  readonly depth: number;
  readonly content: string;
  /** A note that only staff see. */
  readonly is_internal: boolean;
  readonly created_at: string;
  readonly updated_at: string;
}

/** One change of status; the first has no `from`. */
export interface TicketStatusChange {
  readonly from: TicketStatus | null;
  readonly to: TicketStatus;
  readonly reason: string | null;
  readonly actor: PersonBrief | null;
  readonly at: string;
}

export interface TicketStats {
  readonly total: number;
  readonly by_status: Readonly<Record<TicketStatus, number>>;
  readonly unassigned: number;
}

/** A page of a list, and what asks for the next. */
export interface Page<T> {
  readonly data: readonly T[];
  readonly next_cursor: string | null;
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

export interface TicketDraft {
  readonly title: string;
  readonly description: string;
  readonly category?: TicketCategory;
  readonly priority?: TicketPriority;
}

export interface TicketChanges extends Partial<TicketDraft> {
  readonly metadata?: Readonly<Record<string, unknown>>;
}

export interface CommentDraft {
  readonly content: string;
  readonly parent_id?: string | null;
  readonly is_internal?: boolean;
}

export type TicketEventName =
  | "ticket_created"
  | "ticket_updated"
  | "ticket_status_changed"
  | "ticket_assigned"
  | "ticket_priority_changed"
  | "tickets_bulk_updated"
  | "ticket_deleted"
  | "comment_created"
  | "comment_updated"
  | "comment_deleted"
  | "internal_note_created"
  | "collision";

/** An event of a topic of tickets. Which fields it has beside the first ones depends on `event`. */
export interface TicketEvent {
  readonly seq: number;
  readonly event: TicketEventName;
  readonly occurred_at: string;
  readonly actor: PersonBrief;
  /** After the change; in a bulk event there may be `tickets` in its place. */
  readonly ticket?: Ticket;
  readonly tickets?: readonly Ticket[];
  readonly comment?: TicketComment;
  readonly changes?: Readonly<Record<string, unknown>>;
  readonly old_status?: TicketStatus;
  readonly new_status?: TicketStatus;
  readonly reason?: string | null;
  readonly old_priority?: TicketPriority;
  readonly new_priority?: TicketPriority;
  readonly old_assignee_name?: string | null;
  readonly new_assignee_name?: string | null;
  readonly holder?: PersonBrief;
  readonly writer?: PersonBrief;
}

const EVENT = /^(ticket_|tickets_|comment_|internal_note_|collision$)/;

/** Reads an event of a channel; null for one that is not about tickets. */
export function ticketEvent(event: string, payload: unknown): TicketEvent | null {
  const { seq } = (payload ?? {}) as { seq?: unknown };
  if (!EVENT.test(event) || typeof seq !== "number") return null;
  return { ...(payload as TicketEvent), event: event as TicketEventName };
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

/** Where somebody hears of the tickets that they may see. */
export function listTopic({ id, role }: DeskUser): string {
  return isStaff(role) ? ALL_TICKETS : `tickets:user:${id}`;
}
