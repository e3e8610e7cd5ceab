import type { PenView } from "../../../src/index.ts";
import { clockTime } from "./banner-text.ts";

/** Who has the pen, in a sentence. */
export function penTitle(view: PenView): string {
  const { pen, isMine, otherTab } = view;
  if (pen === null) return "Who has the pen is not known at the moment.";
  if (pen.holder === null) return "Nobody has the pen.";
  const since = pen.since === null ? "" : ` since ${clockTime(pen.since)}`;
  if (isMine) return `You have the pen${since}.`;
  if (otherTab) return `You have the pen in another tab${since}.`;
  return `${pen.holder.name} has the pen${since}.`;
}

/** What is going on with it; null when nothing is. */
export function penDetail(view: PenView, isReadOnly: boolean): string | null {
  const { pen, isMine, place, declined } = view;
  if (pen === null) return null;
  switch (pen.state) {
    case "free":
      return isReadOnly ? null : "Start typing to take it.";
    case "draining":
      return isMine
        ? "Somebody takes it over. What you have not saved is kept as your draft."
        : "It is being taken over. The holder may still save.";
    case "reserved":
      return "The connection is lost: the pen is reserved for a moment.";
    case "held":
      if (declined !== null && !isMine) return declinedText(declined.by?.name, declined.reason);
      if (place !== null) return place === 1 ? "You are the next." : `You are number ${place}.`;
      return waiting(pen.queue.map(({ name }) => name));
  }
}

function declinedText(name = "The holder", reason?: string): string {
  const said = reason === undefined ? "." : `: “${reason}”`;
  return `${name} goes on writing${said}`;
}

function waiting(names: readonly string[]): string | null {
  if (names.length === 0) return null;
  const [first, ...rest] = names;
  return rest.length === 0
    ? `${first} waits for it.`
    : `${first} and ${rest.length} more wait for it.`;
}
