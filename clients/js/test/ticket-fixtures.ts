import type { Ticket, TicketComment } from "../src/protocol.ts";
import type { Page, TicketEventName, TicketNews } from "../src/tickets/ticket.ts";

/** The time of a number, in order. */
export function at(n: number): string {
  return new Date(Date.UTC(2026, 0, 1) + n * 1000).toISOString();
}

/** Ticket `n`, made at that time, as staff see it. */
export function ticket(n: number, fields: Partial<Ticket> = {}): Ticket {
  return {
    ...publicTicket(n),
    assigned_to_id: null,
    metadata: {},
    version: 1,
    ...fields,
  };
}

/** Ticket `n` as a customer sees it. */
export function publicTicket(n: number, fields: Partial<Ticket> = {}): Ticket {
  return {
    id: `t${n}`,
    title: `Ticket ${n}`,
    description: "Something is wrong.",
    category: "general",
    status: "open",
    priority: "medium",
    slug: `ticket-${n}`,
    user_id: "tomas",
    guest: null,
    assignee_name: null,
    comment_count: 0,
    created_at: at(n),
    updated_at: at(n),
    resolved_at: null,
    closed_at: null,
    ...fields,
  };
}

export function comment(n: number, fields: Partial<TicketComment> = {}): TicketComment {
  return {
    id: `c${n}`,
    ticket_id: "t1",
    author_id: "tomas",
    parent_id: null,
    depth: 0,
    content: `Comment ${n}`,
    is_internal: false,
    created_at: at(n),
    updated_at: at(n),
    ...fields,
  };
}

export function ticketEvent(
  seq: number,
  event: TicketEventName,
  fields: Partial<TicketNews> = {},
): TicketNews {
  const actor = { id: "ada", name: "Ada", kind: "human" } as const;
  return { seq, event, occurred_at: at(100 + seq), actor, ...fields };
}

export function page(tickets: readonly Ticket[], next_cursor: string | null = null): Page<Ticket> {
  return { data: tickets, next_cursor };
}
