import { expect, test } from "vitest";
import { type PenFacts, penView } from "../src/pen.ts";
import { UNKNOWN_PRIORITY } from "../src/priority.ts";
import type { PenEvent } from "../src/protocol.ts";
import { FREE, heldBy, penEvent } from "./fixtures.ts";

const ADA: Omit<PenFacts, "pen"> = {
  session: "ada-1",
  key: "ada",
  events: [],
  mode: "edit",
  presence: true,
  priority: { ...UNKNOWN_PRIORITY, known: true },
};
const BRUNO = { id: "bruno", name: "Bruno", answer_by: null };
const HELD = { ...FREE, ...heldBy("ada"), fence: "3", queue: [BRUNO] };
/** Bruno has asked. */
const ASKED = { ...HELD, queue: [{ ...BRUNO, answer_by: 9000 }] };

function after(told: PenEvent[], viewer: Partial<PenFacts> = {}) {
  const events = told.map((payload) => ({
    event: "pen",
    payload,
    seq: payload.seq,
    receivedAt: 0,
  }));
  return penView({ ...ADA, pen: told.at(-1)?.pen ?? null, events, ...viewer });
}

test("tells the viewer's session from their other tab and from others", () => {
  expect(penView({ ...ADA, pen: FREE })).toMatchObject({
    isMine: false,
    otherTab: false,
    isTaken: false,
  });
  const seen = (viewer: object) => penView({ ...ADA, pen: HELD, ...viewer });
  expect(seen({})).toMatchObject({ isMine: true, otherTab: false, isTaken: false });
  expect(seen({ session: "ada-2" })).toMatchObject({ isMine: false, otherTab: true });
  expect(seen({ session: "bruno-1", key: "bruno" })).toMatchObject({ isTaken: true, place: 1 });
  expect(seen({ session: null, key: null })).toMatchObject({ isMine: false, place: null });
});

test("the pen alone locks the fields: free, they are open to who does not come first", () => {
  const isReadOnly = (facts: Partial<PenFacts>) =>
    penView({ ...ADA, pen: FREE, ...facts }).isReadOnly;
  expect(ADA.priority).toMatchObject({ hasPriority: false, isReadOnly: true });
  expect(isReadOnly({})).toBe(false);
  expect(isReadOnly({ pen: HELD })).toBe(false);
  for (const state of ["held", "draining", "reserved"] as const) {
    expect(isReadOnly({ pen: { ...HELD, ...heldBy("bruno"), state } })).toBe(true);
  }
  expect(isReadOnly({ pen: HELD, session: "ada-2" })).toBe(true);
  expect(isReadOnly({ mode: "view" })).toBe(true);
  expect(isReadOnly({ presence: "receive" })).toBe(true);
});

test("where nobody knows who has the pen, edit priority counts", () => {
  const first = { ...ADA.priority, hasPriority: true, isReadOnly: false };
  expect(penView({ ...ADA, pen: null }).isReadOnly).toBe(true);
  expect(penView({ ...ADA, pen: null, priority: first }).isReadOnly).toBe(false);
});

test("a request is read from the pen, so it is known after a reload; its reason is not", () => {
  const asked = { id: "bruno", name: "Bruno", answerBy: 9000, reason: null };
  expect(penView({ ...ADA, pen: ASKED }).request).toEqual(asked);
  expect(penView({ ...ADA, pen: HELD }).request).toBeNull();
  const by = { id: "bruno", name: "Bruno", kind: "human" } as const;
  const told = penEvent(1, "requested", ASKED, { by, reason: "a word" });
  expect(after([told]).request).toEqual({ ...asked, reason: "a word" });
  // Somebody else has the pen now, and is asked instead.
  const next = penEvent(2, "handed_over", { ...ASKED, fence: "4" });
  expect(after([told, next]).request).toEqual(asked);
});

test("who asked first is to be answered first, wherever they stand in the queue", () => {
  const mei = { id: "mei", name: "Mei", answer_by: 8000 };
  const queue = [{ id: "kim", name: "Kim", answer_by: null }, ...ASKED.queue, mei];
  expect(penView({ ...ADA, pen: { ...HELD, queue } }).request?.id).toBe("mei");
  const bruno = { session: "bruno-1", key: "bruno" };
  expect(penView({ ...ADA, ...bruno, pen: { ...HELD, queue } })).toMatchObject({
    answerBy: 9000,
    place: 2,
  });
  expect(penView({ ...ADA, ...bruno, pen: HELD })).toMatchObject({ answerBy: null, place: 1 });
});

test("a no counts until something else happens, and for its tenure", () => {
  const declined = penEvent(2, "declined", HELD, { reason: "five minutes" });
  expect(after([declined]).declined).toBe(declined);
  expect(after([declined, penEvent(3, "requested", ASKED)]).declined).toBeNull();
  expect(
    after([declined, penEvent(4, "handed_over", { ...HELD, fence: "4" })]).declined,
  ).toBeNull();
});

test("names who takes it over, while they do", () => {
  const by = { id: "bruno", name: "Bruno", kind: "human" } as const;
  const draining = penEvent(1, "draining", { ...HELD, state: "draining" }, { by });
  expect(after([draining]).taker).toEqual(by);
  expect(after([draining, penEvent(2, "resumed", HELD)]).taker).toBeNull();
});
