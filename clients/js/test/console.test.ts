import { expect, test, vi } from "vitest";
import { FrameLog, filterRows, ROWS_MAX, rowText } from "../console/src/frames/frame-log.ts";
import { hueOf, initialsOf, tabNames } from "../console/src/people.ts";
import { bannerText } from "../console/src/topic/banner-text.ts";
import { EMPTY_SET, foldState, membersOf } from "../src/presence.ts";
import { editPriority } from "../src/priority.ts";
import { initialTopicState, type TopicState } from "../src/topic-state.ts";
import { meta, person, summary } from "./fixtures.ts";

/** The state of Ada's first session among `people`. */
function stateOf(people: ReturnType<typeof person>[], fields: Partial<TopicState> = {}) {
  const state: TopicState = {
    ...initialTopicState("demo:ticket-1042"),
    status: "joined",
    session: "ada-1",
    key: "ada",
    mode: "edit",
    summary: summary(people),
    ...fields,
  };
  const shown = state.presence === true;
  return { ...state, priority: editPriority({ ...state, shown, connected: true }) };
}

const ada = person("ada");
const bruno = person("bruno");

test("the banner says whose turn it is", () => {
  expect(bannerText(initialTopicState("x"), "ticket").title).toBe("Joining…");
  expect(bannerText(stateOf([ada]), "ticket")).toEqual({
    tone: "yours",
    title: "You can edit this ticket.",
    detail: "Nobody else is here.",
  });
  expect(bannerText(stateOf([ada, bruno]), "ticket").detail).toContain("The other person here");
  expect(bannerText(stateOf([bruno, ada]), "ticket")).toMatchObject({
    tone: "theirs",
    title: "Bruno is currently active and you can't edit this ticket until they close the editor.",
  });
});

test("the banner says when the one in the way has lost the connection", () => {
  const lost = stateOf([person("bruno", { status: "reconnecting" }), ada]);
  expect(bannerText(lost, "ticket").detail).toContain("connection is lost");
});

test("the banner names the other tab", () => {
  const metas = [meta("ada", { session: "ada-1" }), meta("ada", { session: "ada-2" })];
  const [self] = membersOf(foldState(EMPTY_SET, { ada: { metas } }));
  const state = stateOf([ada], { session: "ada-2", self: self ?? null });
  expect(bannerText(state, "ticket").title).toContain(
    `“${tabNames(["ada-1", "ada-2"]).get("ada-1")}”`,
  );
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
