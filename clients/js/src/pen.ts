/** The pen for one viewer: who has it, waits for it, asks whom, from what the topic knows. */
import type { Pen, PenEvent, PersonBrief } from "./protocol.ts";
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
  /**
   * What an editor should do with its fields. The pen is the lock: while it is free they are open,
   * whoever has edit priority, and typing takes it. Where it is not known, edit priority counts.
   */
  readonly isReadOnly: boolean;
  /** The viewer's place in the queue, 1 for the next; null when they do not wait. */
  readonly place: number | null;
  /** When the viewer, who has asked, is to be answered. */
  readonly answerBy: number | null;
  /** Who asked first, among those who still wait for an answer. */
  readonly request: PenRequest | null;
  /** The holder's last no, while it is the newest word of this tenure. */
  readonly declined: PenEvent | null;
  /** Who takes it over; null while nobody does, and unknown after a reload. */
  readonly taker: PersonBrief | null;
}

/** Somebody who asks the holder to give way. */
export interface PenRequest {
  readonly id: string;
  readonly name: string;
  /** When the holder has to have answered, in ms since the epoch. */
  readonly answerBy: number;
  /** Unknown after a reload. */
  readonly reason: string | null;
}

/** What is known of a topic that the pen is read from. */
export type PenFacts = Pick<
  TopicState,
  "pen" | "session" | "key" | "events" | "mode" | "presence" | "priority"
>;

export function penView(facts: PenFacts): PenView {
  const { pen, session, key } = facts;
  const isHeld = pen !== null && pen.state !== "free";
  const isMine = isHeld && session !== null && pen.session === session;
  const otherTab = isHeld && !isMine && pen.holder?.id === key;
  const place = (pen?.queue ?? []).findIndex(({ id }) => id === key) + 1;
  const mayEdit = facts.mode === "edit" && facts.presence === true;
  const isLocked = pen === null ? facts.priority.isReadOnly : isHeld && !isMine;
  const told = toldOf(pen, facts.events);
  const newest = told.at(-1);
  return {
    pen,
    isMine,
    otherTab,
    isTaken: isHeld && !isMine && !otherTab,
    isReadOnly: !mayEdit || isLocked,
    place: place === 0 ? null : place,
    answerBy: pen?.queue[place - 1]?.answer_by ?? null,
    request: requestOf(pen, told),
    declined: newest?.type === "declined" ? newest : null,
    taker:
      pen?.state === "draining"
        ? (told.findLast(({ type }) => type === "draining")?.by ?? null)
        : null,
  };
}

/** What was said in the tenure that lasts. */
function toldOf(pen: Pen | null, events: readonly TopicEvent[]): readonly PenEvent[] {
  return events
    .filter(({ event }) => event === "pen")
    .map(({ payload }) => payload as PenEvent)
    .filter(({ fence }) => fence === pen?.fence);
}

/** Read from the pen itself, which knows it after a reload and under a new holder too. */
function requestOf(pen: Pen | null, told: readonly PenEvent[]): PenRequest | null {
  let first: PenRequest | null = null;
  for (const { id, name, answer_by: answerBy } of pen?.queue ?? []) {
    if (answerBy === null || (first !== null && first.answerBy <= answerBy)) continue;
    const asked = told.findLast(({ type, by }) => type === "requested" && by?.id === id);
    first = { id, name, answerBy, reason: asked?.reason ?? null };
  }
  return first;
}
