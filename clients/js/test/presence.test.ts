import { expect, test } from "vitest";
import { EMPTY_SET, foldDiff, foldState, membersOf } from "../src/presence.ts";
import { meta } from "./fixtures.ts";

const none = {};

test("a snapshot lists people by the time of their earliest session, then by ref", () => {
  const set = foldState(EMPTY_SET, {
    late: { metas: [meta("late", { joined_at: 3000 })] },
    twice: {
      metas: [meta("twice", { joined_at: 2000 }), meta("twice", { joined_at: 500, phx_ref: "b" })],
    },
    tie: { metas: [meta("tie", { joined_at: 500, phx_ref: "a" })] },
  });
  const members = membersOf(set);
  expect(members.map(({ key }) => key)).toEqual(["tie", "twice", "late"]);
  expect(members[1]?.sessions.map((session) => session.joined_at)).toEqual([500, 2000]);
});

test("an update in one diff replaces the session and never removes the person", () => {
  const before = meta("ada");
  const after = { ...before, phx_ref: "next", phx_ref_prev: before.phx_ref, unsaved: true };
  const set = foldDiff(foldState(EMPTY_SET, { ada: { metas: [before] } }), {
    joins: { ada: { metas: [after] } },
    leaves: { ada: { metas: [before] } },
  });
  expect(set.get("ada")).toEqual([after]);
});

test("a diff that is heard twice changes nothing the second time", () => {
  const diff = { joins: { ada: { metas: [meta("ada")] } }, leaves: none };
  const once = foldDiff(EMPTY_SET, diff);
  expect(foldDiff(once, diff)).toEqual(once);
});

test("the last leave removes the person, and a leave of a stranger is no matter", () => {
  const ada = meta("ada");
  const set = foldDiff(foldState(EMPTY_SET, { ada: { metas: [ada] } }), {
    joins: none,
    leaves: { ada: { metas: [ada] }, ghost: { metas: [meta("ghost")] } },
  });
  expect(set.size).toBe(0);
});

test("who did not change keeps the reference, also over a new snapshot", () => {
  const ada = meta("ada");
  const first = foldState(EMPTY_SET, { ada: { metas: [ada] } });
  const [before] = membersOf(first);
  const joined = foldDiff(first, { joins: { bruno: { metas: [meta("bruno")] } }, leaves: none });
  expect(membersOf(joined).find(({ key }) => key === "ada")).toBe(before);
  const again = foldState(joined, { ada: { metas: [{ ...ada }] } });
  expect(membersOf(again)).toEqual([before]);
  expect(membersOf(again)[0]).toBe(before);
});

test("names of Object's own properties are keys like any other", () => {
  const state = JSON.parse(
    `{"__proto__":{"metas":[${JSON.stringify(meta("x"))}]},"constructor":{"metas":[${JSON.stringify(meta("y"))}]}}`,
  );
  const set = foldState(EMPTY_SET, state);
  expect([...set.keys()].sort()).toEqual(["__proto__", "constructor"]);
});

test("a person is as lively, and as engaged, as the most so of their sessions", () => {
  const set = foldState(EMPTY_SET, {
    ada: {
      metas: [
        meta("ada", { status: "hidden", activity: "editing", mode: "view" }),
        meta("ada", { status: "idle", activity: "typing", unsaved: true }),
      ],
    },
  });
  expect(membersOf(set)[0]).toMatchObject({
    status: "idle",
    activity: "typing",
    unsaved: true,
    viewOnly: false,
  });
});
