import { expect, test, vi } from "vitest";
import { FrameLog, filterRows, ROWS_MAX, rowText } from "../console/src/frames/frame-log.ts";
import { hueOf, initialsOf, tabNames } from "../console/src/people.ts";
import { bannerText } from "../console/src/topic/banner-text.ts";
import { penWords } from "../console/src/topic/pen-text.ts";
import { penView } from "../src/pen.ts";
import { EMPTY_SET, foldState, membersOf } from "../src/presence.ts";
import { editPriority } from "../src/priority.ts";
import { initialTopicState, type TopicState } from "../src/topic-state.ts";
import { FREE, heldBy, meta, person, summary } from "./fixtures.ts";

/** The state of Ada's first session among `people`. */
function stateOf(people: ReturnType<typeof person>[], fields: Partial<TopicState> = {}) {
  const state: TopicState = {
    ...initialTopicState("demo:ticket-1042"),
    status: "joined",
    session: "ada-1",
    key: "ada",
    mode: "edit",
    summary: summary(people),
    pen: FREE,
    ...fields,
  };
  const shown = state.presence === true;
  return { ...state, priority: editPriority({ ...state, shown, connected: true }) };
}

const ada = person("ada");
const bruno = person("bruno");

test("a free pen lets everybody write, and the banner explains who goes first", () => {
  expect(bannerText(initialTopicState("x"), "ticket").title).toBe("Joining…");
  expect(bannerText(stateOf([ada]), "ticket")).toEqual({
    tone: "yours",
    title: "You can edit this ticket.",
    detail: "Nobody else is here.",
  });
  expect(bannerText(stateOf([ada, bruno]), "ticket").detail).toBe("One other person is here.");
  expect(bannerText(stateOf([bruno, ada]), "ticket")).toEqual({
    tone: "yours",
    title: "You can edit this ticket. Bruno has edit priority.",
    detail: "That only advises who goes first. The pen is free: whoever types first gets it.",
  });
});

test("who has the pen decides, whoever has edit priority", () => {
  const adas = { ...FREE, ...heldBy("ada") };
  const brunos = { ...FREE, ...heldBy("bruno") };
  expect(bannerText(stateOf([bruno, ada], { pen: adas }), "ticket")).toEqual({
    tone: "yours",
    title: "You have the pen, so you can edit this ticket.",
    detail: "Bruno has edit priority, which only advises.",
  });
  expect(bannerText(stateOf([ada, bruno], { pen: brunos }), "ticket")).toEqual({
    tone: "theirs",
    title: "Bruno has the pen, so you can't edit this ticket now.",
    detail: "You have edit priority, which only advises.",
  });
  expect(bannerText(stateOf([bruno, ada], { pen: brunos }), "ticket").detail).toBe(
    "You are told here when it is free.",
  );
});

test("where the pen is not known the banner goes by edit priority", () => {
  expect(bannerText(stateOf([bruno, ada], { pen: null }), "ticket")).toMatchObject({
    tone: "theirs",
    title: "Bruno is currently active and you can't edit this ticket until they close the editor.",
  });
});

test("the banner names the other tab that has the pen", () => {
  const metas = [meta("ada", { session: "ada-1" }), meta("ada", { session: "ada-2" })];
  const [self] = membersOf(foldState(EMPTY_SET, { ada: { metas } }));
  const pen = { ...FREE, ...heldBy("ada") };
  const state = stateOf([ada], { session: "ada-2", self: self ?? null, pen });
  const name = tabNames(["ada-1", "ada-2"]).get("ada-1");
  expect(bannerText(state, "ticket").title).toBe(`You have the pen in your other tab, “${name}”.`);
  const free = bannerText(stateOf([ada], { session: "ada-2" }), "ticket");
  expect(free.title).toContain("Your other tab has edit priority.");
  const known = bannerText(stateOf([ada], { session: "ada-2", self: self ?? null }), "ticket");
  expect(known.title).toContain(`Your other tab, “${name}”, has edit priority.`);
});

test("the strip tells the holder who asks, and the one who asks when an answer is due", () => {
  const queue = [{ id: "bruno", name: "Bruno", answer_by: 9000 }];
  const pen = { ...FREE, ...heldBy("ada"), queue };
  const words = (fields: Partial<TopicState>) => {
    const state = stateOf([ada, bruno], { pen, ...fields });
    return penWords(penView(state), state);
  };
  expect(words({})).toMatchObject({ title: "Bruno asks for the pen.", until: 9000 });
  expect(words({ session: "bruno-1", key: "bruno" })).toMatchObject({
    title: "Ada has the pen",
    detail: "You have asked. An answer is due in",
    until: 9000,
  });
  const waits = { ...pen, queue: [{ id: "bruno", name: "Bruno", answer_by: null }] };
  expect(words({ pen: waits })).toMatchObject({
    title: "You have the pen",
    detail: "Bruno waits for it.",
  });
  expect(words({ pen: FREE }).detail).toBe("Start typing to take it.");
  expect(words({ pen: FREE, mode: "view" }).detail).toBeNull();
});

test("who had the pen when the connection was there last is not said to have it", () => {
  const words = (fields: Partial<TopicState>) => {
    const state = stateOf([ada, bruno], { status: "reconnecting", asOf: Date.now(), ...fields });
    return penWords(penView(state), state);
  };
  const queue = [{ id: "bruno", name: "Bruno", answer_by: 9000 }];
  const mine = words({ pen: { ...FREE, ...heldBy("ada"), queue } });
  expect(mine).toMatchObject({ title: "You had the pen.", since: null, until: null });
  expect(mine.detail).toContain("What you write stays in this tab.");
  const theirs = words({ pen: { ...FREE, ...heldBy("bruno"), state: "reserved", deadline: 9000 } });
  expect(theirs).toMatchObject({ title: "Bruno had the pen.", since: null, until: null });
  expect(theirs.detail).toMatch(/^The connection is lost: this is as of .*\.$/);
  expect(words({}).title).toBe("Nobody had the pen.");
  // Joined again, it is known before all are here again.
  expect(words({ status: "joined" }).title).toBe("Nobody has the pen.");
});

test("who views, or watches unseen, is told who edits", () => {
  const viewing = stateOf([bruno, ada], { mode: "view" });
  expect(bannerText(viewing, "ticket")).toMatchObject({
    tone: "calm",
    detail: "Bruno has edit priority.",
  });
  const unseen = stateOf([bruno], { presence: "receive" });
  expect(bannerText(unseen, "ticket").title).toBe("You are watching unseen.");
});

test("people look the same everywhere", () => {
  expect(initialsOf("Ada King Okafor")).toBe("AO");
  expect(initialsOf("Quill")).toBe("Q");
  expect(hueOf("somebody")).toBe(hueOf("somebody"));
  expect(new Set(["ada", "bruno", "mei", "noor", "tomas", "quill"].map(hueOf)).size).toBe(6);
});

test("no two tabs of a person share a name, and a name stays when a later tab goes", () => {
  const sessions = Array.from({ length: 20 }, (_, i) => `session-${i}`);
  const all = tabNames(sessions);
  expect(new Set(all.values()).size).toBe(20);
  expect([...tabNames(sessions.slice(0, 5))]).toEqual([...all].slice(0, 5));
});

test("the log keeps the last frames, in batches, without tokens", () => {
  vi.useFakeTimers();
  const log = new FrameLog();
  const changes = vi.fn();
  log.subscribe(changes);
  for (let i = 0; i < ROWS_MAX + 10; i += 1) {
    const payload = { n: i, token: "secret-1", response: { resume: "secret-2" } };
    log.add({ direction: "in", at: 0, data: JSON.stringify([null, null, "doc:1", "e", payload]) });
  }
  vi.advanceTimersByTime(100);
  const rows = log.getSnapshot();
  expect(changes).toHaveBeenCalledTimes(1);
  expect(rows).toHaveLength(ROWS_MAX);
  expect(rows[0]?.payload).toContain('"n":10,');
  expect(rows.map(rowText).join()).not.toContain("secret");
  vi.useRealTimers();
});

test("the log stands still while paused, and shows what it can't read", () => {
  const log = new FrameLog();
  log.add({ direction: "out", at: 0, data: "not json" });
  log.add({ direction: "in", at: 0, data: new ArrayBuffer(3) });
  log.pause(true);
  log.add({ direction: "in", at: 0, data: "late" });
  expect(log.getSnapshot().map(({ event, payload }) => [event, payload])).toEqual([
    ["unreadable", "not json"],
    ["binary", "3 bytes"],
  ]);
});

test("a filter wants all of its words, in any case", () => {
  const log = new FrameLog();
  for (const event of ["presence_diff", "phx_reply"]) {
    log.add({ direction: "in", at: 0, data: JSON.stringify([null, null, "doc:1", event, {}]) });
  }
  log.pause(true);
  expect(filterRows(log.getSnapshot(), "DOC presence")).toHaveLength(1);
  expect(filterRows(log.getSnapshot(), "")).toHaveLength(2);
});
