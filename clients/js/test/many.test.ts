import { expect, test } from "vitest";
import { PenholderError, TicketsError } from "../src/index.ts";
import type { Ticket } from "../src/protocol.ts";
import { changeMany } from "../src/tickets/many.ts";
import { MANY_TICKETS_MAX, type ManyChanges } from "../src/tickets/ticket.ts";
import { ticket } from "./ticket-fixtures.ts";

interface Sent {
  readonly ids: readonly string[];
  readonly changes: ManyChanges;
}

/** A server that answers each request with what `answer` says of it. */
function desk(answer: (sent: Sent, nth: number) => readonly Ticket[] | Error) {
  const sent: Sent[] = [];
  const updateMany = async (ids: readonly string[], changes: ManyChanges) => {
    sent.push({ ids, changes });
    const answered = answer({ ids, changes }, sent.length);
    if (answered instanceof Error) throw answered;
    return answered;
  };
  return { sent, updateMany };
}

type Why = readonly [id: string, code: string, details?: object];

function refusal(...refused: readonly Why[]): TicketsError {
  const all = refused.map(([ticket_id, code, details]) => ({
    ticket_id,
    code,
    message: `${code} of ${ticket_id}`,
    ...(details === undefined ? {} : { details }),
  }));
  const { code = "", message = "" } = all[0] ?? {};
  return new TicketsError({ code, message, status: 409, details: { refused: all } });
}

function rows(ids: readonly string[]): readonly Ticket[] {
  return ids.map((id) => ticket(Number(id.slice(1)), { version: 2 }));
}

const three = [ticket(1), ticket(2), ticket(3)];

test("those that are refused are left out, each with why, and the others are changed", async () => {
  const server = desk(({ ids }, nth) =>
    nth === 1
      ? refusal(
          ["t1", "invalid_transition", { from: "closed", to: "resolved" }],
          ["t3", "pen_held", { holder: { name: "Bruno" } }],
        )
      : rows(ids),
  );
  const done = await changeMany(server, three, { status: "resolved", priority: "high" });
  expect(server.sent.map(({ ids }) => ids)).toEqual([["t1", "t2", "t3"], ["t2"]]);
  expect(done.changed.map(({ id }) => id)).toEqual(["t2"]);
  expect(done.unchanged).toEqual([]);
  expect([...done.failed].map(([id, { code, message }]) => [id, code, message])).toEqual([
    ["t1", "invalid_transition", "invalid_transition of t1"],
    ["t3", "pen_held", "pen_held of t3"],
  ]);
  expect(done.failed.get("t3")).toMatchObject({ details: { holder: { name: "Bruno" } } });
});

test("the status that a ticket has already is no change, and it gets the others", async () => {
  const server = desk(({ ids }) => rows(ids));
  const closed = ticket(2, { status: "closed" });
  const all = [ticket(1), closed];
  const done = await changeMany(server, all, { status: "closed", assigned_to_id: null });
  expect(server.sent).toEqual([
    { ids: ["t1"], changes: { status: "closed", assigned_to_id: null } },
    { ids: ["t2"], changes: { assigned_to_id: null } },
  ]);
  expect(done.changed.map(({ id }) => id)).toEqual(["t1", "t2"]);

  const again = desk(({ ids }) => rows(ids));
  const only = await changeMany(again, [closed], { status: "closed" });
  expect(again.sent).toEqual([]);
  expect(only).toMatchObject({ changed: [], unchanged: ["t2"] });
});

test("so it is where somebody else has changed the status meanwhile", async () => {
  const so: Why = ["t2", "invalid_transition", { from: "closed", to: "closed" }];
  const server = desk(({ ids, changes }) =>
    changes.status !== undefined && ids.includes("t2") ? refusal(so) : rows(ids),
  );
  const done = await changeMany(server, three, { status: "closed", priority: "low" });
  expect(server.sent.map(({ ids, changes }) => [ids.join(" "), changes.status])).toEqual([
    ["t1 t2 t3", "closed"],
    ["t1 t3", "closed"],
    ["t2", undefined],
  ]);
  expect(done.failed.size).toBe(0);
  expect(done.changed).toHaveLength(3);
});

test("what would be the same is not counted as changed", async () => {
  const server = desk(() => rows(["t1"]));
  const done = await changeMany(server, three, { priority: "high" });
  expect(done.unchanged).toEqual(["t2", "t3"]);
});

test("what is about none of them fails all, and nothing more is asked", async () => {
  const many = Array.from({ length: 2 * MANY_TICKETS_MAX + 1 }, (_, n) =>
    ticket(n, { status: n === 0 ? "closed" : "open" }),
  );
  const away = new TicketsError({ code: "unreachable", message: "Away.", status: null });
  const server = desk(({ ids }, nth) => (nth === 1 ? rows(ids) : away));
  const done = await changeMany(server, many, { status: "closed", priority: "low" });
  expect(server.sent.map(({ ids }) => ids.length)).toEqual([100, 100]);
  expect(done.changed).toHaveLength(100);
  expect(done.failed.size).toBe(101);
  expect(new Set(done.failed.values())).toEqual(new Set([away]));
});

test("a server that refuses another each time is not asked for ever", async () => {
  const many = Array.from({ length: 20 }, (_, n) => ticket(n));
  const server = desk(({ ids }) => refusal([ids[0] ?? "", "invalid_transition", {}]));
  const done = await changeMany(server, many, { status: "closed" });
  expect(server.sent).toHaveLength(5);
  expect(done.failed.size).toBe(20);
  expect([...done.failed.values()].every((it) => it instanceof PenholderError)).toBe(true);
});
