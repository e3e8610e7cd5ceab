import { penView, priorityMessage, type TopicState } from "../../../src/index.ts";
import { tabNames } from "../people.ts";

export interface BannerText {
  /** `yours`: the field is open; `theirs`: somebody is in the way; `calm`: neither. */
  readonly tone: "yours" | "theirs" | "calm";
  readonly title: string;
  readonly detail: string | null;
}

const WAITING = "You are told here when it is your turn.";
const LOST = "Their connection is lost. If they don't come back in a moment, it is your turn.";

/** What the banner says about who may edit. */
export function bannerText(state: TopicState, thing: string): BannerText {
  const { priority } = state;
  if (!priority.known) return calm("Joining…", null);
  if (state.presence !== true) {
    return calm("You are watching unseen.", "Nobody sees you here, and you have no place in line.");
  }
  if (state.mode === "view") return calm(`You are viewing this ${thing}.`, whoEdits(state, thing));
  const pen = penAgainstPriority(state, thing);
  if (pen !== null) return pen;
  if (priority.otherTab) return otherTab(state, thing);
  const message = priorityMessage(priority, thing);
  if (message !== null) {
    const isLost = priority.prior?.status === "reconnecting";
    return { tone: "theirs", title: message, detail: isLost ? LOST : WAITING };
  }
  const others = (state.summary?.count ?? 1) - 1;
  const detail =
    others === 0
      ? "Nobody else is here."
      : `You are first in line. ${people(others)} here can edit once you close the editor.`;
  return { tone: "yours", title: `You can edit this ${thing}.`, detail };
}

/** Where the two differ the pen wins, and the banner says so. */
function penAgainstPriority(state: TopicState, thing: string): BannerText | null {
  const { pen, isMine, isTaken } = penView(state);
  const { hasPriority, prior } = state.priority;
  if (isMine && !hasPriority && prior !== null) {
    const who = prior.key === state.key ? "Your other tab" : prior.user.name;
    const title = `You have the pen, so you can edit this ${thing}.`;
    return { tone: "yours", title, detail: `${who} has edit priority, which only advises.` };
  }
  if (!isTaken || pen?.holder == null || prior?.key === pen.holder.id) return null;
  const title = `${pen.holder.name} has the pen, so you can't edit this ${thing} now.`;
  const who = hasPriority ? "You have" : `${prior?.user.name ?? "Nobody"} has`;
  return { tone: "theirs", title, detail: `${who} edit priority, which only advises.` };
}

function calm(title: string, detail: string | null): BannerText {
  return { tone: "calm", title, detail };
}

function whoEdits({ priority }: TopicState, thing: string): string {
  const { prior } = priority;
  if (prior === null) return `Nobody is editing this ${thing}.`;
  return `${prior.user.name} has edit priority.`;
}

function otherTab({ priority, self }: TopicState, thing: string): BannerText {
  const sessions = self?.sessions ?? [];
  const session = sessions.find((meta) => meta.session === priority.priorSession);
  if (session === undefined) {
    return {
      tone: "theirs",
      title: priorityMessage(priority, thing) ?? "",
      detail: null,
    };
  }
  const name = tabNames(sessions.map((meta) => meta.session)).get(session.session);
  return {
    tone: "theirs",
    title: `You have edit priority in your other tab, “${name}”.`,
    detail: `Opened at ${clockTime(session.joined_at)}. Edit this ${thing} there, or close that tab to edit here.`,
  };
}

function people(count: number): string {
  return count === 1 ? "The other person" : `The ${count} others`;
}

/** `14:02`, in the reader's own format. */
export function clockTime(at: number): string {
  return new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}
