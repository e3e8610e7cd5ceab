import { expect, test } from "vitest";
import {
  beginRecordFetch,
  EMPTY_RECORD,
  type Fetched,
  lacksFiles,
  withAnswer,
  withComment,
  withFetched,
  withFilesOf,
  withoutComment,
  withTicketEvent,
} from "../src/tickets/ticket-fold.ts";
import { at, comment, ticket, ticketEvent } from "./ticket-fixtures.ts";

const ADA = { id: "ada", name: "Ada", kind: "human" } as const;

function fetched(fields: Partial<Fetched> = {}): Fetched {
  return { ticket: ticket(1), comments: [], changes: [], log: [], ...fields };
}

function loaded(fields: Partial<Fetched> = {}) {
  return withFetched(beginRecordFetch(EMPTY_RECORD), fetched(fields));
}

test("comments come in order, each once, however often they are told", () => {
  const told = ticketEvent(1, "comment_created", { ticket: ticket(1), comment: comment(2) });
  const record = withTicketEvent(loaded({ comments: [comment(1)] }), told);
  expect(record.comments.map(({ id }) => id)).toEqual(["c1", "c2"]);
  expect(withTicketEvent(record, told)).toBe(record);
  // The answer to the own request may come after the event that tells of it.
  expect(withComment(record, comment(2)).comments).toHaveLength(2);
});

test("a comment that an event changed is not set back by an answer from before", () => {
  const asked = beginRecordFetch(loaded({ comments: [comment(1)] }));
  const edited = comment(1, { content: "Edited", updated_at: at(50) });
  const record = withTicketEvent(
    asked,
    ticketEvent(1, "comment_updated", { ticket: ticket(1), comment: edited }),
  );
  const late = withFetched(record, fetched({ comments: [comment(1)] }));
  expect(late.comments.map(({ content }) => content)).toEqual(["Edited"]);
});

test("a deleted comment stays away, whoever deleted it", () => {
  const asked = beginRecordFetch(loaded({ comments: [comment(1), comment(2)] }));
  const gone = withTicketEvent(
    asked,
    ticketEvent(1, "comment_deleted", { ticket: ticket(1), comment: comment(1) }),
  );
  const both = withoutComment(gone, "c2");
  const late = withFetched(both, fetched({ comments: [comment(1), comment(2)] }));
  expect(late.comments).toEqual([]);
});

test("what was missed for good is fetched, and what is gone since is gone here", () => {
  const before = loaded({ comments: [comment(1), comment(2)] });
  const asked = beginRecordFetch(before);
  const during = withTicketEvent(
    asked,
    ticketEvent(9, "internal_note_created", {
      ticket: ticket(1),
      comment: comment(3, { is_internal: true }),
    }),
  );
  const record = withFetched(during, fetched({ comments: [comment(1)] }));
  expect(record.comments.map(({ id }) => id)).toEqual(["c1", "c3"]);
});

test("an own change shows at once, and is not undone by what comes late", () => {
  const record = withAnswer(loaded(), ticket(1, { version: 3, title: "C" }));
  expect(record.ticket?.title).toBe("C");
  const late = ticketEvent(1, "ticket_updated", { ticket: ticket(1, { version: 2, title: "B" }) });
  expect(withTicketEvent(record, late).ticket?.title).toBe("C");
  expect(withAnswer(record, ticket(1, { version: 2, title: "B" }))).toBe(record);
});

test("the history joins rows and log, and a change that both tell is one", () => {
  const changes = [
    { from: null, to: "open", reason: null, actor: ADA, at: at(1) },
    { from: "open", to: "in_progress", reason: null, actor: ADA, at: at(102) },
  ] as const;
  const assigned = ticketEvent(1, "ticket_assigned", {
    occurred_at: at(102),
    ticket: ticket(1),
    old_assignee_name: null,
    new_assignee_name: "Bruno",
  });
  const status = ticketEvent(2, "ticket_status_changed", {
    ticket: ticket(1),
    old_status: "open",
    new_status: "in_progress",
  });
  const record = withTicketEvent(loaded({ changes, log: [assigned] }), status);
  expect(record.history.map(({ what }) => what)).toEqual([
    { type: "status", from: null, to: "open" },
    { type: "assignee", from: null, to: "Bruno" },
    { type: "status", from: "open", to: "in_progress" },
  ]);
  expect(record.names.get("ada")).toEqual({ name: "Ada", at: at(102) });
});

test("each kind of change has its line", () => {
  const log = [
    ticketEvent(1, "ticket_created", { ticket: ticket(1) }),
    ticketEvent(2, "ticket_priority_changed", { old_priority: "low", new_priority: "high" }),
    ticketEvent(3, "ticket_updated", { changes: { title: ["A", "B"] } }),
    ticketEvent(4, "tickets_bulk_updated", { changes: { status: "closed" } }),
    ticketEvent(5, "collision", { holder: { id: "bruno", name: "Bruno", kind: "human" } }),
    ticketEvent(6, "comment_created", { comment: comment(1) }),
  ];
  expect(loaded({ log }).history.map(({ what }) => what)).toEqual([
    { type: "status", from: null, to: "open" },
    { type: "priority", from: "low", to: "high" },
    { type: "fields", names: ["title"] },
    { type: "collision", holder: "Bruno" },
  ]);
});

test("a change of many tickets tells the status while one looks on as it does when one comes later", () => {
  const changes = [
    { from: null, to: "open", reason: null, actor: ADA, at: at(1) },
    { from: "open", to: "in_progress", reason: null, actor: ADA, at: at(101) },
    { from: "in_progress", to: "resolved", reason: null, actor: ADA, at: at(103) },
  ] as const;
  const many = (seq: number, status: "in_progress" | "resolved", fields: Record<string, unknown>) =>
    ticketEvent(seq, "tickets_bulk_updated", {
      tickets: [ticket(1, { status, version: seq + 1 })],
      changes: fields,
    });
  const log = [
    many(1, "in_progress", { assigned_to_id: "bruno", assignee_name: "Bruno" }),
    many(2, "in_progress", { assignee_name: "Cai", priority: "low" }),
    many(3, "resolved", { status: "resolved" }),
  ];
  const live = log.reduce(withTicketEvent, loaded({ changes: changes.slice(0, 1) }));
  expect(live.history.map(({ what }) => what)).toEqual([
    { type: "status", from: null, to: "open" },
    { type: "status", from: "open", to: "in_progress" },
    { type: "fields", names: ["assigned_to_id"] },
    { type: "fields", names: ["assignee_name", "priority"] },
    { type: "status", from: "in_progress", to: "resolved" },
  ]);
  expect(loaded({ changes, log }).history).toEqual(live.history);
});

test("a write past the pen is one line with what it changed, and one that was refused a line of its own", () => {
  const holder = { id: "bruno", name: "Bruno", kind: "human" } as const;
  const when = (n: number) => ({ occurred_at: at(n) });
  const log = [
    ticketEvent(1, "collision", { ...when(10), holder }),
    ticketEvent(2, "ticket_priority_changed", {
      ...when(10),
      old_priority: "low",
      new_priority: "high",
    }),
    ticketEvent(3, "ticket_updated", { ...when(10), changes: { title: ["A", "B"] } }),
    ticketEvent(4, "collision", { ...when(20), holder }),
    ticketEvent(5, "ticket_updated", { ...when(21), changes: { title: ["B", "C"] } }),
    ticketEvent(6, "collision", { ...when(30), holder }),
    ticketEvent(7, "ticket_status_changed", {
      ...when(30),
      old_status: "open",
      new_status: "closed",
    }),
  ];
  const changes = [{ from: "open", to: "closed", reason: null, actor: ADA, at: at(30) }] as const;
  const lines = loaded({ log, changes }).history.map(({ what, penOf }) => [what.type, penOf]);
  expect(lines).toEqual([
    ["priority", "Bruno"],
    ["fields", "Bruno"],
    ["collision", null],
    ["fields", null],
    ["status", "Bruno"],
  ]);
});

test("files come with answers, and stay when events tell of their ticket without them", () => {
  const file = {
    id: "f1",
    comment_id: null,
    url: "https://example.org/a.png",
    name: "a.png",
    size: 1,
    position: 0,
  };
  const record = loaded({ ticket: { ...ticket(1), attachments: [file] } });
  const told = ticketEvent(1, "comment_created", { ticket: ticket(1), comment: comment(1) });
  const after = withTicketEvent(record, told);
  expect(after.files.get("t1")).toEqual([file]);
  expect(lacksFiles(after)).toBe(true);
  const whole = withFilesOf(after, [{ ...comment(1), attachments: [] }]);
  expect(lacksFiles(whole)).toBe(false);
});

test("the log that is kept is bounded, and holds no copies of the ticket", () => {
  const log = Array.from({ length: 3000 }, (_, n) =>
    ticketEvent(n + 1, "ticket_priority_changed", {
      ticket: ticket(1),
      old_priority: "low",
      new_priority: "high",
    }),
  );
  const record = loaded({ log });
  expect(record.history).toHaveLength(1000);
  expect(record.history.at(-1)?.at).toBe(at(3100));
  expect(JSON.stringify([...record.facts.log])).not.toContain("Something is wrong");
});

test("who deleted it is known", () => {
  const event = ticketEvent(1, "ticket_deleted", { ticket: ticket(1) });
  expect(withTicketEvent(loaded(), event).deletedBy?.name).toBe("Ada");
});

test("a log that is fetched late does not undo what somebody is called since", () => {
  const old = ticketEvent(1, "ticket_updated", { ticket: ticket(1) });
  const renamed = ticketEvent(5, "ticket_updated", {
    ticket: ticket(1),
    actor: { id: "ada", name: "Ada King", kind: "human" },
  });
  const during = withTicketEvent(beginRecordFetch(loaded()), renamed);
  const record = withFetched(during, fetched({ log: [old] }));
  expect(record.names.get("ada")).toEqual({ name: "Ada King", at: at(105) });
});
