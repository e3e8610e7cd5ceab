import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Outbox } from "../src/outbox.ts";
import type { PresenceUpdate } from "../src/protocol.ts";
import { OwnTyping, TypingList } from "../src/typing.ts";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

test("the first update goes at once, later ones together and at most four a second", () => {
  const sent: PresenceUpdate[] = [];
  const outbox = new Outbox((update) => sent.push(update));
  outbox.open();
  for (let i = 0; i < 50; i += 1) {
    outbox.add({ unsaved: i % 2 === 1 });
    outbox.add({ input: true });
    vi.advanceTimersByTime(20);
  }
  vi.advanceTimersByTime(1000);
  expect(sent[0]).toEqual({ unsaved: false });
  expect(sent.length).toBeLessThanOrEqual(6);
  expect(sent.at(-1)).toEqual({ unsaved: true, input: true });
});

test("nothing is sent before the join, and nothing stale after a loss", () => {
  const sent: PresenceUpdate[] = [];
  const outbox = new Outbox((update) => sent.push(update));
  outbox.add({ unsaved: true });
  expect(sent).toEqual([]);
  outbox.close();
  outbox.open();
  vi.runAllTimers();
  expect(sent).toEqual([]);
});

test("what was refused for its rate comes again, under what is newer", () => {
  const sent: PresenceUpdate[] = [];
  const outbox = new Outbox((update) => sent.push(update));
  outbox.open();
  outbox.add({ activity: "editing" });
  outbox.retry({ activity: "editing", unsaved: true }, 3000);
  outbox.add({ activity: "viewing" });
  vi.advanceTimersByTime(2999);
  expect(sent).toHaveLength(1);
  vi.advanceTimersByTime(1);
  expect(sent[1]).toEqual({ activity: "viewing", unsaved: true });
});

test("typing is said once, repeated while it lasts, and ends after a pause", () => {
  const said: boolean[] = [];
  const typing = new OwnTyping((on) => said.push(on));
  for (let i = 0; i < 60; i += 1) {
    typing.set(true);
    vi.advanceTimersByTime(100);
  }
  expect(said).toEqual([true, true]);
  vi.advanceTimersByTime(4000);
  expect(said).toEqual([true, true, false]);
  typing.set(false);
  expect(said).toHaveLength(3);
});

test("who turns to a note and back says so at once, and what ends is whatever was on", () => {
  const said: unknown[] = [];
  const typing = new OwnTyping((on, audience) => said.push([on, audience]));
  typing.set(true);
  typing.set(true, "staff");
  typing.set(true, "staff");
  expect(said).toEqual([
    [true, undefined],
    [true, "staff"],
  ]);
  vi.advanceTimersByTime(3999);
  expect(said).toHaveLength(2);
  vi.advanceTimersByTime(1);
  expect(said.at(-1)).toEqual([false, undefined]);
  typing.set(true, "staff");
  typing.set(true);
  expect(said.slice(3)).toEqual([
    [true, "staff"],
    [true, undefined],
  ]);
});

test("a typist is on the list once, for the audience told last", () => {
  let list: readonly unknown[] = [];
  const typing = new TypingList((typists) => {
    list = typists;
  });
  const ada = { key: "ada", session: "ada-1" };
  const note = { ...ada, name: "Ada", audience: "staff" };
  typing.apply({ ...ada, on: true }, "Ada");
  typing.apply({ ...ada, on: true, audience: "staff" }, "Ada");
  expect(list).toEqual([note]);
  const before = list;
  typing.apply({ ...ada, on: true, audience: "staff" }, "Ada");
  expect(list).toBe(before);
  typing.apply({ ...ada, on: true }, "Ada");
  expect(list).toStrictEqual([{ ...ada, name: "Ada" }]);
  typing.apply({ ...ada, on: false }, "Ada");
  expect(list).toEqual([]);
});

test("a typist whose end was lost is forgotten", () => {
  let names: string[] = [];
  const list = new TypingList((typists) => {
    names = typists.map(({ name }) => name);
  });
  list.apply({ key: "ada", session: "ada-1", on: true }, "Ada");
  vi.advanceTimersByTime(9000);
  list.apply({ key: "ada", session: "ada-1", on: true }, "Ada");
  vi.advanceTimersByTime(9000);
  expect(names).toEqual(["Ada"]);
  vi.advanceTimersByTime(3000);
  expect(names).toEqual([]);
});
