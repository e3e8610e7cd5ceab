/** What the desk calls things. */
import type {
  HistoryEntry,
  TicketCategory,
  TicketPriority,
  TicketStatus,
} from "../../../src/index.ts";
import { PenholderError, TicketsError } from "../../../src/index.ts";

export const STATUS_WORDS: Readonly<Record<TicketStatus, string>> = {
  open: "Open",
  in_progress: "In progress",
  waiting_for_user: "Waiting for customer",
  waiting_for_agent: "Waiting for us",
  resolved: "Resolved",
  closed: "Closed",
};

/** As a customer reads it. */
const CUSTOMER_WORDS: Readonly<Partial<Record<TicketStatus, string>>> = {
  waiting_for_user: "Waiting for you",
  waiting_for_agent: "Waiting for the team",
};

export function statusWord(status: string, isStaff: boolean): string {
  const known = status as TicketStatus;
  const word = isStaff ? STATUS_WORDS[known] : (CUSTOMER_WORDS[known] ?? STATUS_WORDS[known]);
  return word ?? status;
}

export const PRIORITY_WORDS: Readonly<Record<TicketPriority, string>> = {
  low: "Low",
  medium: "Medium",
  high: "High",
  urgent: "Urgent",
};

export const CATEGORY_WORDS: Readonly<Record<TicketCategory, string>> = {
  general: "General",
  technical: "Technical",
  billing: "Billing",
  account: "Account",
  security: "Security",
  feature_request: "Feature request",
  bug_report: "Bug report",
};

const FIELD_WORDS: Readonly<Record<string, string>> = {
  title: "title",
  description: "description",
  category: "category",
  priority: "priority",
  metadata: "metadata",
  assigned_to_id: "assignee",
  assignee_name: "assignee",
};

/** A line of the history, after the name of who did it. */
export function historyWords(entry: HistoryEntry, isStaff: boolean): string {
  const { penOf } = entry;
  return `${deedWords(entry, isStaff)}${penOf === null ? "" : ` while ${penOf} had the pen`}`;
}

function deedWords({ what, actor }: HistoryEntry, isStaff: boolean): string {
  const status = (word: string | null) => `“${statusWord(word ?? "", isStaff)}”`;
  switch (what.type) {
    case "status":
      if (what.from === null) return "created the ticket";
      return `changed the status from ${status(what.from)} to ${status(what.to)}`;
    case "assignee":
      if (what.to === null) return `took the ticket away from ${what.from ?? "its assignee"}`;
      if (what.to === actor?.name) return "took the ticket";
      return `assigned the ticket to ${what.to}`;
    case "priority":
      return `changed the priority from ${priority(what.from)} to ${priority(what.to)}`;
    case "fields":
      return `changed the ${what.names.map((name) => FIELD_WORDS[name] ?? name).join(" and the ")}`;
    case "collision":
      return `would have changed the ticket, but ${what.holder} had the pen`;
  }
}

function priority(word: string): string {
  return `“${PRIORITY_WORDS[word as TicketPriority] ?? word}”`;
}

/** What went wrong, and what to do about it. */
export function problemWords(error: unknown): string {
  if (!(error instanceof PenholderError)) return String(error);
  const status = error instanceof TicketsError ? error.status : null;
  switch (error.code) {
    case "pen_held":
    case "stale_fence":
      return `${holderOf(error) ?? "Somebody else"} has the pen of this ticket. Ask for it, or wait until it is free.`;
    case "invalid_transition":
      return "The status has changed meanwhile. Choose again from what is possible now.";
    case "reopen_not_allowed":
      return "Tickets are not opened again here. Write a new one.";
    case "ticket_closed":
      return "The ticket was closed meanwhile. Open it again to write.";
    case "invalid_assignee":
      return "This person cannot be assigned: the server does not know them as one of the team.";
    case "not_found":
      return "It is not there any more.";
    case "unreachable":
      return "The server cannot be reached. Nothing is lost: try again in a moment.";
    case "rate_limited":
      return "Too much at once. Wait a moment, then try again.";
    case "unavailable":
      return "The server cannot store anything at the moment. Try again in a moment.";
    case "invalid_token":
      return "The token has expired or is not accepted any more. Sign in again: what you have written is kept.";
    case "not_authorized":
    case "forbidden":
      return "You may not do this.";
    default:
      return status !== null && status >= 500 ? `${error.message} Try again.` : error.message;
  }
}

/** Why something is not shown: a title in its place, and what can be done. */
export function failureWords(error: unknown): { readonly title: string; readonly text: string } {
  const status = error instanceof TicketsError ? error.status : null;
  if (status === 404) {
    return { title: "No such ticket", text: "It is not there, or it is not yours to see." };
  }
  if (status === 401) {
    return { title: "Your token is not accepted", text: problemWords(error) };
  }
  if (status === 403) {
    return { title: "Not for you to see", text: "The server does not show you this ticket." };
  }
  if (status === 429) {
    return {
      title: "Too much at once",
      text: "The server asks for a pause. It goes on by itself.",
    };
  }
  if (status !== null) {
    const text = `${problemWords(error)} It is tried again by itself.`;
    return { title: "The ticket cannot be shown now", text };
  }
  return {
    title: "The server cannot be reached",
    text: "The ticket is shown as soon as the server answers again.",
  };
}

/** Who has the pen, as a refusal says it. */
export function holderOf(error: unknown): string | null {
  if (!(error instanceof TicketsError)) return null;
  const { holder } = error.details as { holder?: { name?: string } | null };
  return holder?.name ?? null;
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** How long ago, in a word or two. */
export function ago(at: string, now: number): string {
  const age = Math.max(0, now - Date.parse(at));
  if (age < MINUTE) return "just now";
  if (age < HOUR) return `${Math.floor(age / MINUTE)} min ago`;
  if (age < DAY) return `${Math.floor(age / HOUR)} h ago`;
  if (age < 30 * DAY) return `${Math.floor(age / DAY)} d ago`;
  return new Date(at).toLocaleDateString([], { dateStyle: "medium" });
}

export function fullTime(at: string): string {
  return new Date(at).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
}

const UNITS = ["bytes", "kB", "MB", "GB", "TB", "PB"] as const;

/** How long a file is, in round numbers; null where nobody has said it. */
export function fileSize(bytes: number): string | null {
  if (bytes <= 0) return null;
  let size = bytes;
  let unit = 0;
  while (size >= 999.5 && unit < UNITS.length - 1) {
    size /= 1000;
    unit += 1;
  }
  const digits = unit > 0 && size < 9.95 ? 1 : 0;
  return `${size.toFixed(digits)} ${bytes === 1 ? "byte" : UNITS[unit]}`;
}
