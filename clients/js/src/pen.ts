/** The pen for one viewer: who has it, who waits, and who asks whom, from what the topic knows. */
import type { Pen, PenEvent } from "./protocol.ts";
import type { TopicEvent, TopicState } from "./topic-state.ts";

export interface PenView {
  /** The pen as the server told last; null before the join and where it does not know. */
  readonly pen: Pen | null;
  /** The viewer's session has it. */
  readonly isMine: boolean;
  /** The viewer has it, in another of their sessions. */
  readonly otherTab: boolean;
  /** Somebody else has it. */
  readonly isTaken: boolean;
  /** The viewer's place in the queue, 1 for the next; null when they do not wait. */
  readonly place: number | null;
  /** Who asked first, among those who still wait for an answer; unknown after a reload. */
  readonly request: PenEvent | null;
  /** The holder's last no, while it is the newest word of this tenure. */
  readonly declined: PenEvent | null;
}

/** What is known of a topic that the pen is read from. */
export type PenFacts = Pick<TopicState, "pen" | "session" | "key" | "events">;

export function penView({ pen, session, key, events }: PenFacts): PenView {
  const isHeld = pen !== null && pen.state !== "free";
  const isMine = isHeld && session !== null && pen.session === session;
  const otherTab = isHeld && !isMine && pen.holder?.id === key;
  const place = (pen?.queue ?? []).findIndex(({ id }) => id === key) + 1;
  return {
    pen,
    isMine,
    otherTab,
    isTaken: isHeld && !isMine && !otherTab,
    place: place === 0 ? null : place,
    ...wordsOf(pen, events),
  };
}

/** What was asked and answered in the tenure that lasts. */
function wordsOf(
  pen: Pen | null,
  events: readonly TopicEvent[],
): Pick<PenView, "request" | "declined"> {
  const told = events
    .filter(({ event }) => event === "pen")
    .map(({ payload }) => payload as PenEvent)
    .filter(({ fence }) => fence === pen?.fence);
  const last = told.findLastIndex(({ type }) => type === "declined");
  const waiting = new Set(pen?.queue.map(({ id }) => id));
  const asked = told
    .slice(last + 1)
    .filter(({ type, by }) => type === "requested" && by !== null && waiting.has(by.id));
  const declined = last >= 0 && last === told.length - 1 ? (told[last] ?? null) : null;
  return { request: asked[0] ?? null, declined };
}
