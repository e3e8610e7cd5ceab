import type { PenView, TopicState } from "../../../src/index.ts";
import { asOfWords } from "../as-of.ts";
import { clockTime } from "./banner-text.ts";

/** What is said of the pen: two lines, the second with a countdown perhaps. */
export interface PenWords {
  readonly title: string;
  /** Since when the holder has it, `14:02`. */
  readonly since: string | null;
  readonly detail: string | null;
  readonly until: number | null;
}

/** As of when the pen is, if not of now. It is known with the join, before all are here again. */
export function penAsOf({ status, asOf }: Pick<TopicState, "status" | "asOf">): number | null {
  return status === "joined" ? null : asOf;
}

/** Who has the pen, and what is going on with it; while the connection is lost, who had it. */
export function penWords(
  view: PenView,
  viewer: Pick<TopicState, "key" | "status" | "asOf">,
): PenWords {
  const { pen, isMine, request } = view;
  const say = (title: string, detail: string | null = null, until: number | null = null) => {
    return { title, since: null, detail, until };
  };
  if (pen === null) return say("Who has the pen is not known at the moment.");
  const asOf = penAsOf(viewer);
  if (asOf !== null) return say(hadTitle(view), lostDetail(view, asOf));
  if (pen.holder === null) {
    return say("Nobody has the pen.", view.isReadOnly ? null : "Start typing to take it.");
  }
  if (isMine && pen.state === "draining") {
    const title = `${view.taker?.name ?? "Somebody"} takes over the pen.`;
    return say(title, "What you have not saved becomes your draft in", pen.deadline);
  }
  if (isMine && pen.state === "held" && request !== null) {
    const said = request.reason === null ? "" : `“${request.reason}” `;
    return say(
      `${request.name} asks for the pen.`,
      `${said}Please answer within`,
      request.answerBy,
    );
  }
  return {
    title: holderTitle(view, pen.holder.name),
    since: pen.since === null ? null : clockTime(pen.since),
    ...goingOn(view, viewer),
  };
}

function holderTitle({ isMine, otherTab }: PenView, name: string): string {
  if (isMine) return "You have the pen";
  return otherTab ? "You have the pen in another tab" : `${name} has the pen`;
}

function hadTitle({ pen, isMine, otherTab }: PenView): string {
  if (pen?.holder == null) return "Nobody had the pen.";
  if (isMine) return "You had the pen.";
  return otherTab ? "You had the pen in another tab." : `${pen.holder.name} had the pen.`;
}

function lostDetail({ isReadOnly }: PenView, asOf: number): string {
  const lost = `The connection is lost: this is ${asOfWords(asOf)}.`;
  return isReadOnly ? lost : `${lost} What you write stays in this tab.`;
}

function goingOn(
  { pen, isMine, place, answerBy, declined, taker }: PenView,
  { key }: Pick<TopicState, "key">,
): Pick<PenWords, "detail" | "until"> {
  const say = (detail: string | null, until: number | null = null) => ({ detail, until });
  if (pen?.state === "draining") {
    if (taker === null) return say("It is being taken over in", pen.deadline);
    return say(taker.id === key ? "You get it in" : `${taker.name} gets it in`, pen.deadline);
  }
  if (pen?.state === "reserved") {
    return say("Their connection is lost. It is kept for them for", pen.deadline);
  }
  if (answerBy !== null) return say("You have asked. An answer is due in", answerBy);
  if (declined !== null && !isMine) return say(declinedText(declined.by?.name, declined.reason));
  if (place !== null) return say(place === 1 ? "You are the next." : `You are number ${place}.`);
  return say(waiting(pen?.queue.map(({ name }) => name) ?? []));
}

function declinedText(name = "The holder", reason?: string): string {
  const said = reason === undefined ? "." : `: “${reason}”`;
  return `${name} goes on writing${said}`;
}

function waiting([first, ...rest]: readonly string[]): string | null {
  if (first === undefined) return null;
  return rest.length === 0
    ? `${first} waits for it.`
    : `${first} and ${rest.length} more wait for it.`;
}
