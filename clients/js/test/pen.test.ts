import { expect, test } from "vitest";
import { type PenFacts, penView } from "../src/pen.ts";
import type { PenEvent } from "../src/protocol.ts";
import { FREE, heldBy, penEvent } from "./fixtures.ts";

const ADA = { session: "ada-1", key: "ada" };
const BRUNO = { id: "bruno", name: "Bruno" };
const HELD = { ...FREE, ...heldBy("ada"), fence: "3", queue: [BRUNO] };

function after(told: PenEvent[], viewer: Partial<PenFacts> = {}) {
  const events = told.map((payload) => ({
    event: "pen",
    payload,
    seq: payload.seq,
    receivedAt: 0,
  }));
  return penView({ ...ADA, pen: told.at(-1)?.pen ?? null, events, ...viewer });
}

const asked = (seq: number, id = "bruno") =>
  penEvent(seq, "requested", HELD, { by: { id, name: id, kind: "human" } });

test("tells the viewer's session from their other tab and from others", () => {
  expect(penView({ ...ADA, pen: FREE, events: [] })).toMatchObject({
    isMine: false,
    otherTab: false,
    isTaken: false,
  });
  const seen = (viewer: object) => penView({ ...ADA, pen: HELD, events: [], ...viewer });
  expect(seen({})).toMatchObject({ isMine: true, otherTab: false, isTaken: false });
  expect(seen({ session: "ada-2" })).toMatchObject({ isMine: false, otherTab: true });
  expect(seen({ session: "bruno-1", key: "bruno" })).toMatchObject({ isTaken: true, place: 1 });
  expect(seen({ session: null, key: null })).toMatchObject({ isMine: false, place: null });
});

test("a request stands until it is declined, the asker has gone, or the tenure is over", () => {
  expect(after([asked(1)]).request?.by?.id).toBe("bruno");
  const declined = penEvent(2, "declined", HELD, { reason: "five minutes" });
  expect(after([asked(1), declined])).toMatchObject({ request: null, declined });
  expect(after([asked(1), declined, asked(3)])).toMatchObject({
    request: { seq: 3 },
    declined: null,
  });
  expect(after([asked(1, "mei")]).request).toBeNull();
  const next = penEvent(4, "handed_over", { ...HELD, fence: "4" });
  expect(after([asked(1), next])).toMatchObject({ request: null, declined: null });
});
