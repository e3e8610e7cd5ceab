import { type PenView, penView, priorityMessage, type TopicState } from "../../../src/index.ts";
import { tabNames } from "../people.ts";

export interface BannerText {
  /** `yours`: the field is open; `theirs`: somebody is in the way; `calm`: neither. */
  readonly tone: "yours" | "theirs" | "calm";
  readonly title: string;
  readonly detail: string | null;
}

/** What the banner says about who may edit: the pen decides, and edit priority is explained beside it. */
export function bannerText(state: TopicState, thing: string): BannerText {
  const { priority } = state;
  if (!priority.known) return calm("Joining…", null);
  if (state.presence !== true) {
    return calm("You are watching unseen.", "Nobody sees you here, and you have no place in line.");
  }
  if (state.mode === "view") return calm(`You are viewing this ${thing}.`, whoEdits(state, thing));
  const view = penView(state);
  const who = whoIsFirst(state);
  if (view.isMine) {
    const title = `You have the pen, so you can edit this ${thing}.`;
    return { tone: "yours", title, detail: who === null ? others(state) : `${who}${ADVICE}` };
  }
  if (view.isTaken || view.otherTab) return taken(state, view, thing);
  if (view.pen === null) return byPriority(state, thing);
  const title = `You can edit this ${thing}.`;
  if (who === null) return { tone: "yours", title, detail: others(state) };
  return {
    tone: "yours",
    title: `${title} ${who} edit priority.`,
    detail: "That only advises who goes first. The pen is free: whoever types first gets it.",
  };
}

const ADVICE = " edit priority, which only advises.";

/** Whom edit priority names beside the viewer, as the beginning of a sentence; null for the viewer. */
function whoIsFirst(state: TopicState): string | null {
  const { hasPriority, otherTab, prior, priorSession } = state.priority;
  if (hasPriority || prior === null) return null;
  if (!otherTab) return `${prior.user.name} has`;
  const name = tabOf(state, priorSession);
  return name === undefined ? "Your other tab has" : `Your other tab${quoted(name)}, has`;
}

function taken(state: TopicState, { pen, otherTab }: PenView, thing: string): BannerText {
  if (otherTab) {
    const title = `You have the pen in your other tab${quoted(tabOf(state, pen?.session ?? null))}.`;
    return { tone: "theirs", title, detail: `Edit this ${thing} there, or move the pen here.` };
  }
  const title = `${pen?.holder?.name} has the pen, so you can't edit this ${thing} now.`;
  if (state.priority.hasPriority) return { tone: "theirs", title, detail: `You have${ADVICE}` };
  const isFirst = state.priority.prior?.key === pen?.holder?.id;
  const detail = isFirst ? "You are told here when it is free." : `${whoIsFirst(state)}${ADVICE}`;
  return { tone: "theirs", title, detail };
}

/** Where nobody can say who has the pen. */
function byPriority(state: TopicState, thing: string): BannerText {
  const { priority } = state;
  if (priority.otherTab) {
    const name = quoted(tabOf(state, priority.priorSession));
    const title = `You have edit priority in your other tab${name}.`;
    return { tone: "theirs", title, detail: `Edit this ${thing} there, or close it to edit here.` };
  }
  const message = priorityMessage(priority, thing);
  if (message !== null) return { tone: "theirs", title: message, detail: null };
  return { tone: "yours", title: `You can edit this ${thing}.`, detail: others(state) };
}

function calm(title: string, detail: string | null): BannerText {
  return { tone: "calm", title, detail };
}

function whoEdits(state: TopicState, thing: string): string {
  const { pen, priority } = state;
  if (pen?.holder != null) return `${pen.holder.name} has the pen.`;
  if (priority.prior === null) return `Nobody is editing this ${thing}.`;
  return `${priority.prior.user.name} has edit priority.`;
}

/** The name of one of the person's own tabs. */
function tabOf({ self }: TopicState, session: string | null): string | undefined {
  const sessions = (self?.sessions ?? []).map((meta) => meta.session);
  return tabNames(sessions).get(session ?? "");
}

function quoted(name: string | undefined): string {
  return name === undefined ? "" : `, “${name}”`;
}

function others({ summary }: TopicState): string {
  const count = (summary?.count ?? 1) - 1;
  if (count <= 0) return "Nobody else is here.";
  return count === 1 ? "One other person is here." : `${count} others are here.`;
}

/** `14:02`, in the reader's own format. */
export function clockTime(at: number): string {
  return new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}
