import { expect, test } from "vitest";
import {
  beginFetch,
  emptyList,
  matches,
  type TicketList,
  withEvent,
  withFirstPage,
  withPage,
  withTicket,
} from "../src/tickets/list-fold.ts";
import type { TicketFilters } from "../src/tickets/ticket.ts";
import { at, page, publicTicket, ticket, ticketEvent } from "./ticket-fixtures.ts";

/** A list whose first page has come. */
function loaded(tickets: ReturnType<typeof ticket>[], filters: TicketFilters = {}): TicketList {
  return withFirstPage(beginFetch(emptyList(filters)), page(tickets), 0);
}

function ids({ rows }: TicketList): string {
  return rows.map(({ id }) => id).join(" ");
}

test("the newest ticket comes first, and a new one goes on top", () => {
  const list = loaded([ticket(1), ticket(3), ticket(2)]);
  expect(ids(list)).toBe("t3 t2 t1");
  const event = ticketEvent(1, "ticket_created", { ticket: ticket(4) });
  expect(ids(withEvent(list, event))).toBe("t4 t3 t2 t1");
});

test("an event is applied at most once, and what is repeated changes nothing", () => {
  const first = ticketEvent(5, "ticket_updated", { ticket: ticket(1, { version: 2, title: "B" }) });
  const second = ticketEvent(6, "ticket_updated", {
    ticket: ticket(1, { version: 3, title: "C" }),
  });
  const list = [first, second].reduce(withEvent, loaded([ticket(1)]));
  expect(list.rows[0]?.title).toBe("C");
  expect(withEvent(list, first)).toBe(list);
  expect(withEvent(list, second)).toBe(list);
});

test("an answer that is out of date does not overwrite what a newer event told", () => {
  const asked = beginFetch(loaded([ticket(1)]));
  const told = ticket(1, { version: 4, status: "closed" });
  const during = withEvent(asked, ticketEvent(1, "ticket_status_changed", { ticket: told }));
  const late = withFirstPage(during, page([ticket(1, { version: 3 })]), 0);
  expect(late.rows[0]?.status).toBe("closed");
  const ahead = withFirstPage(during, page([ticket(1, { version: 5, status: "open" })]), 0);
  expect(ahead.rows[0]?.status).toBe("open");
  // What the answer was ahead of is on its way, and is not taken for news.
  const stale = ticketEvent(2, "ticket_updated", { ticket: ticket(1, { version: 4 }) });
  expect(withEvent(ahead, stale).rows[0]?.version).toBe(5);
});

test("customers have no version: the time of the last change they may know of counts", () => {
  const asked = beginFetch(loaded([publicTicket(1)]));
  const told = publicTicket(1, { updated_at: at(20), title: "New" });
  const during = withEvent(asked, ticketEvent(1, "ticket_updated", { ticket: told }));
  const old = withFirstPage(
    during,
    page([publicTicket(1, { updated_at: at(19), title: "Old" })]),
    0,
  );
  expect(old.rows[0]?.title).toBe("New");
  // Two changes in one millisecond: the order of events decides.
  const tie = { ticket: publicTicket(1, { updated_at: at(20), title: "Newer" }) };
  expect(withEvent(old, ticketEvent(2, "ticket_updated", tie)).rows[0]?.title).toBe("Newer");
});

test("a comment is counted although it moves neither version nor time", () => {
  const list = loaded([ticket(1)]);
  const counted = ticketEvent(1, "comment_created", { ticket: ticket(1, { comment_count: 1 }) });
  expect(withEvent(list, counted).rows[0]?.comment_count).toBe(1);
});

test("a fetch after missed events replaces what was known before it, and keeps what came since", () => {
  const before = withEvent(
    loaded([ticket(1), ticket(2)]),
    ticketEvent(1, "ticket_updated", { ticket: ticket(2, { version: 2 }) }),
  );
  const asked = beginFetch(before);
  const during = withEvent(asked, ticketEvent(9, "ticket_created", { ticket: ticket(3) }));
  // Ticket 2 was deleted while nobody could tell.
  expect(ids(withFirstPage(during, page([ticket(1)]), 0))).toBe("t3 t1");
});

test("a deleted ticket goes, and an answer from before does not bring it back", () => {
  const asked = beginFetch(loaded([ticket(1), ticket(2)]));
  const gone = withEvent(asked, ticketEvent(1, "ticket_deleted", { ticket: ticket(2) }));
  expect(ids(gone)).toBe("t1");
  expect(ids(withFirstPage(gone, page([ticket(1), ticket(2)]), 0))).toBe("t1");
});

test("a ticket comes and goes with the filters that it passes", () => {
  const list = loaded([ticket(1), ticket(2)], { status: ["open"] });
  const closed = ticket(2, { version: 2, status: "closed" });
  const without = withEvent(list, ticketEvent(1, "ticket_status_changed", { ticket: closed }));
  expect(ids(without)).toBe("t1");
  const open = ticket(2, { version: 3 });
  const again = withEvent(without, ticketEvent(2, "ticket_status_changed", { ticket: open }));
  expect(ids(again)).toBe("t2 t1");
});

test("below the last page nothing is shown before its page comes", () => {
  const asked = beginFetch(emptyList({}));
  const first = withFirstPage(asked, page([ticket(9), ticket(8)], "next"), 0);
  const old = ticketEvent(1, "ticket_updated", { ticket: ticket(3, { version: 2, title: "B" }) });
  const told = withEvent(first, old);
  expect(ids(told)).toBe("t9 t8");
  const whole = withPage(told, page([ticket(5), ticket(3)]), 0);
  expect(ids(whole)).toBe("t9 t8 t5 t3");
  expect(whole.rows.at(-1)?.title).toBe("B");
  expect(whole.cursor).toBeNull();
});

test("a bulk event changes each of its tickets", () => {
  const tickets = [ticket(1), ticket(2)].map((one) => ({ ...one, version: 2, priority: "high" }));
  const event = ticketEvent(1, "tickets_bulk_updated", { tickets: tickets as never });
  const { rows } = withEvent(loaded([ticket(1), ticket(2), ticket(3)]), event);
  expect(rows.map(({ priority }) => priority)).toEqual(["medium", "high", "high"]);
});

test("somebody who is renamed is called so on every row, and a row of before does not undo it", () => {
  const zoes = (n: number, name: string, fields = {}) =>
    ticket(n, { assigned_to_id: "zoe", assignee_name: name, ...fields });
  const called = ({ rows }: TicketList) => rows.map(({ assignee_name }) => assignee_name);
  const list = loaded([zoes(1, "Zoe"), zoes(2, "Zoe"), ticket(3)]);
  expect(list.names.get("zoe")).toBe("Zoe");
  const told = ticketEvent(1, "ticket_updated", { ticket: zoes(1, "Zoë Zimmer", { version: 2 }) });
  const renamed = withEvent(list, told);
  expect(called(renamed)).toEqual([null, "Zoë Zimmer", "Zoë Zimmer"]);
  // Another row is news, and says nothing of her.
  const other = ticketEvent(2, "ticket_updated", { ticket: ticket(3, { version: 2 }) });
  const after = withEvent(renamed, other);
  expect(after.names.get("zoe")).toBe("Zoë Zimmer");
  expect(after.rows[1]).toBe(renamed.rows[1]);
  // An answer that is out of date does not either, and one that is asked for now tells the newest name.
  const during = ticketEvent(3, "ticket_updated", { ticket: zoes(1, "Zoë Z.", { version: 3 }) });
  const answer = page([zoes(2, "Zoe"), zoes(1, "Zoe", { version: 2 })]);
  const late = withFirstPage(withEvent(beginFetch(after), during), answer, after.seq);
  expect(called(late)).toEqual(["Zoë Z.", "Zoë Z."]);
  expect(called(withFirstPage(beginFetch(late), answer, late.seq))).toEqual(["Zoe", "Zoe"]);
});

test("a further page, or an answer, that was asked for before a renaming undoes neither name nor title", () => {
  const zoes = (n: number, name: string, fields = {}) =>
    ticket(n, { assigned_to_id: "zoe", assignee_name: name, ...fields });
  const first = withFirstPage(beginFetch(emptyList({})), page([zoes(9, "Zoe")], "next"), 0);
  const asked = first.seq;
  const told = [
    ticketEvent(1, "ticket_updated", { ticket: zoes(9, "Zoë Zimmer", { version: 2 }) }),
    ticketEvent(2, "ticket_updated", { ticket: ticket(4, { version: 2, title: "New" }) }),
  ].reduce(withEvent, first);
  const whole = withPage(told, page([zoes(5, "Zoe"), ticket(4, { title: "Old" })]), asked);
  expect(whole.rows.map(({ assignee_name }) => assignee_name)).toEqual([
    "Zoë Zimmer",
    "Zoë Zimmer",
    null,
  ]);
  expect(whole.names.get("zoe")).toBe("Zoë Zimmer");
  expect(whole.rows.at(-1)?.title).toBe("New");
  const answered = zoes(5, "Zoe", { version: 2, priority: "high" });
  const late = withTicket(whole, answered, asked).rows[1];
  expect(late).toMatchObject({ assignee_name: "Zoë Zimmer", priority: "high" });
  // One that is asked for now has the last word.
  const again = withTicket(whole, { ...answered, assignee_name: "Zoë" }, whole.seq);
  expect(again.rows[0]?.assignee_name).toBe("Zoë");
});

test("who did what was told is known by name", () => {
  const list = withEvent(loaded([ticket(1)]), ticketEvent(1, "ticket_updated", {}));
  expect(list.names.get("ada")).toBe("Ada");
});

test("what is not shown is not kept for ever, and what is shown is", () => {
  let list = loaded([ticket(1)], { status: ["open"] });
  for (let n = 2; n < 1000; n += 1) {
    const closed = ticket(n, { status: "closed" });
    list = withEvent(list, ticketEvent(n, "ticket_status_changed", { ticket: closed }));
  }
  expect(list.known.size).toBeLessThan(450);
  expect(ids(list)).toBe("t1");
  const back = ticketEvent(5000, "ticket_status_changed", { ticket: ticket(7, { version: 2 }) });
  expect(ids(withEvent(list, back))).toBe("t7 t1");
});

test("filters are those of the server", () => {
  const mine = ticket(1, { assigned_to_id: "ada", assignee_name: "Ada", priority: "high" });
  expect(matches(mine, { assigned_to: "ada" })).toBe(true);
  expect(matches(mine, { assigned_to: "bruno" })).toBe(false);
  expect(matches(mine, { assigned_to: "none" })).toBe(false);
  expect(matches(ticket(1), { assigned_to: "none" })).toBe(true);
  expect(matches(mine, { priority: "low" })).toBe(false);
  expect(matches(mine, { category: "billing" })).toBe(false);
  expect(matches(mine, { user_id: "lena" })).toBe(false);
  expect(matches(mine, { q: "TICKET 1" })).toBe(true);
  expect(matches(mine, { q: "100%" })).toBe(false);
});
