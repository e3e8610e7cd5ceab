/** What is said of a change of many tickets. */
import { type ManyChanged, type Ticket, TicketsError } from "../../../src/index.ts";
import { holderOf, problemWords, statusWord } from "./words.ts";

/** Tickets that are as they were for one reason. */
export interface Failure {
  readonly words: string;
  readonly tickets: readonly FailedTicket[];
}

export type FailedTicket = Pick<Ticket, "id" | "title">;

/** What has come of a change, for people to read. */
export interface Outcome {
  readonly words: string;
  readonly failures: readonly Failure[];
}

export function outcomeOf(done: ManyChanged, tickets: readonly FailedTicket[]): Outcome {
  const byWords = new Map<string, FailedTicket[]>();
  for (const { id, title } of tickets) {
    const error = done.failed.get(id);
    if (error === undefined) continue;
    const words = refusalWords(error);
    byWords.set(words, [...(byWords.get(words) ?? []), { id, title }]);
  }
  const failures = [...byWords].map(([words, failed]) => ({ words, tickets: failed }));
  return { words: countWords(done), failures };
}

/** How many were changed, and how many not. */
function countWords({ changed, unchanged, failed }: ManyChanged): string {
  const same = unchanged.length;
  const parts = [
    changed.length > 0 || same === 0 ? `${ticketCount(changed.length)} changed` : null,
    same > 0 ? `${changed.length > 0 ? same : ticketCount(same)} ${so(same)}` : null,
    failed.size > 0 ? `${failed.size} not changed` : null,
  ];
  return `${parts.filter((part) => part !== null).join(", ")}.`;
}

function so(count: number): string {
  return count === 1 ? "was so already" : "were so already";
}

export function ticketCount(count: number): string {
  return count === 1 ? "1 ticket" : `${count} tickets`;
}

/** Why one of many was not changed. */
function refusalWords(error: unknown): string {
  if (!(error instanceof TicketsError)) return problemWords(error);
  const { from, to } = error.details;
  switch (error.code) {
    case "invalid_transition":
      if (typeof from !== "string" || typeof to !== "string") return problemWords(error);
      return `From “${statusWord(from, true)}” the status cannot become “${statusWord(to, true)}”.`;
    case "pen_held":
    case "stale_fence":
      return `${holderOf(error) ?? "Somebody else"} has the pen.`;
    case "reopen_not_allowed":
      return "Tickets are not opened again here.";
    default:
      return problemWords(error);
  }
}

/** The same in one sentence, for those who do not see the list of it; not more of it than can be listened to. */
export function spokenOutcome({ words, failures }: Outcome): string {
  const why = failures.slice(0, SPOKEN_MAX).map(({ words: reason, tickets }) => {
    const first = tickets[0]?.title ?? "";
    const rest = tickets.length - 1;
    return `${rest > 0 ? `${first} and ${rest} more` : first}: ${reason}`;
  });
  return [words, ...why].join(" ");
}

const SPOKEN_MAX = 3;
