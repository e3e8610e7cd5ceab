import { expect, test } from "vitest";
import { outcomeOf, spokenOutcome } from "../console/src/desk/many-words.ts";
import {
  NOTHING_SELECTED,
  type Selection,
  withRows,
  withSwitched,
} from "../console/src/desk/selection.ts";
import { TicketsError } from "../src/index.ts";
import { ticket } from "./ticket-fixtures.ts";

const ORDER = ["a", "b", "c", "d", "e"];

function after(
  switches: readonly (readonly [id: string, isOn: boolean, isRange?: boolean])[],
  order: readonly string[] = ORDER,
): Selection {
  return switches.reduce(
    (before, [id, isOn, isRange = false]) => withSwitched(before, order, { id, isOn, isRange }),
    NOTHING_SELECTED,
  );
}

function ids(selection: Selection): string {
  return [...selection.ids].sort().join("");
}

test("a range goes from the row that was switched last, either way, and switches as that one is", () => {
  expect(
    ids(
      after([
        ["b", true],
        ["d", true, true],
      ]),
    ),
  ).toBe("bcd");
  expect(
    ids(
      after([
        ["d", true],
        ["b", true, true],
        ["e", true],
      ]),
    ),
  ).toBe("bcde");
  expect(
    ids(
      after([
        ["a", true],
        ["e", true, true],
        ["c", false, true],
      ]),
    ),
  ).toBe("ab");
  // Nothing to begin at.
  expect(ids(after([["c", true, true]]))).toBe("c");
});

test("a range is of the rows as they are now", () => {
  const begun = after([["b", true]]);
  const moved = ["d", "b", "new", "c", "a"];
  const range = withSwitched(begun, moved, { id: "c", isOn: true, isRange: true });
  expect(ids(range)).toBe("bcnew");
  const gone = withRows(begun, ["a", "c", "d"]);
  expect(gone).toEqual({ ids: new Set(), anchor: null });
  expect(ids(withSwitched(gone, ["a", "c"], { id: "c", isOn: true, isRange: true }))).toBe("c");
});

const tickets = [1, 2, 3].map((n) => ticket(n));

function refused(code: string, details: object = {}): TicketsError {
  return new TicketsError({ code, message: "No.", status: 409, details: { ...details } });
}

test("what came of a change is counted, and those that failed stand under why", () => {
  const why = { from: "closed", to: "resolved" };
  const failed = new Map([
    ["t1", refused("invalid_transition", why)],
    ["t2", refused("pen_held", { holder: { name: "Bruno" } })],
    ["t3", refused("invalid_transition", why)],
  ]);
  const outcome = outcomeOf({ changed: [ticket(4)], unchanged: ["t5", "t6"], failed }, tickets);
  expect(outcome.words).toBe("1 ticket changed, 2 were so already, 3 not changed.");
  const words = "From “Closed” the status cannot become “Resolved”.";
  expect(outcome.failures.map((it) => [it.words, it.tickets.map(({ id }) => id)])).toEqual([
    [words, ["t1", "t3"]],
    ["Bruno has the pen.", ["t2"]],
  ]);
  expect(spokenOutcome(outcome)).toBe(
    `${outcome.words} Ticket 1 and 1 more: ${words} Ticket 2: Bruno has the pen.`,
  );
});

test("what came of a change is said also where nothing did", () => {
  const none = { changed: [], unchanged: [], failed: new Map() };
  const all = { ...none, failed: new Map([["t1", refused("not_found")]]) };
  expect(outcomeOf(all, tickets)).toEqual({
    words: "0 tickets changed, 1 not changed.",
    failures: [{ words: "It is not there any more.", tickets: [{ id: "t1", title: "Ticket 1" }] }],
  });
  expect(outcomeOf({ ...none, unchanged: ["t1"] }, tickets).words).toBe("1 ticket was so already.");
  expect(outcomeOf({ ...none, changed: tickets }, tickets).words).toBe("3 tickets changed.");
});
