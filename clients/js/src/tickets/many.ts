/** A change of many tickets, of which some may be refused while the others are changed. */
import { PenholderError } from "../errors.ts";
import type { Ticket } from "../protocol.ts";
import { type TicketsClient, TicketsError } from "./http.ts";
import { MANY_TICKETS_MAX, type ManyChanges } from "./ticket.ts";

/** What has come of it, for each ticket that was to be changed. */
export interface ManyChanged {
  /** Those that are different now. */
  readonly changed: readonly Ticket[];
  /** Ids of those that were so already. */
  readonly unchanged: readonly string[];
  /** Why each of the others is as it was, by id. */
  readonly failed: ReadonlyMap<string, PenholderError>;
}

/** More often those that are left are not asked for: others change them all the time. */
const ROUNDS_MAX = 5;

/**
 * Changes all `tickets` that can be changed so. The server changes all of a request or none: those that it refuses are
 * left out, and the others are asked for again. To the server the status that a ticket has already is a change that is
 * not allowed; here it is none, so those tickets get the rest of the changes.
 */
export async function changeMany(
  client: Pick<TicketsClient, "updateMany">,
  tickets: readonly Ticket[],
  changes: ManyChanges,
): Promise<ManyChanged> {
  const changed: Ticket[] = [];
  const failed = new Map<string, PenholderError>();
  const { status, ...rest } = changes;
  const isThere = (ticket: Ticket) => status !== undefined && ticket.status === status;
  const there = tickets.filter(isThere).map(({ id }) => id);
  const others = tickets.filter((ticket) => !isThere(ticket)).map(({ id }) => id);
  const outcome = { changed, failed, there };
  const problem = await askAll(client, others, changes, outcome);
  if (Object.keys(rest).length > 0) {
    if (problem === null) await askAll(client, there, rest, outcome);
    else for (const id of there) failed.set(id, problem);
  }
  const isChanged = new Set(changed.map(({ id }) => id));
  const unchanged = tickets
    .map(({ id }) => id)
    .filter((id) => !isChanged.has(id) && !failed.has(id));
  return { changed, unchanged, failed };
}

interface Outcome {
  readonly changed: Ticket[];
  readonly failed: Map<string, PenholderError>;
  /** Those that have the status already. */
  readonly there: string[];
}

/** Answers why nothing more can be changed; null where that is not so. */
async function askAll(
  client: Pick<TicketsClient, "updateMany">,
  ids: readonly string[],
  changes: ManyChanges,
  outcome: Outcome,
): Promise<PenholderError | null> {
  for (let begin = 0; begin < ids.length; begin += MANY_TICKETS_MAX) {
    const end = begin + MANY_TICKETS_MAX;
    const problem = await askSome(client, ids.slice(begin, end), changes, outcome);
    if (problem === null) continue;
    for (const id of ids.slice(end)) outcome.failed.set(id, problem);
    return problem;
  }
  return null;
}

/** As many as one request may have. */
async function askSome(
  client: Pick<TicketsClient, "updateMany">,
  ids: readonly string[],
  changes: ManyChanges,
  { changed, failed, there }: Outcome,
): Promise<PenholderError | null> {
  let left = ids;
  for (let round = 1; left.length > 0; round += 1) {
    try {
      changed.push(...(await client.updateMany(left, changes)));
      return null;
    } catch (problem) {
      const error = asError(problem);
      const refused = refusedOf(error);
      if (round === ROUNDS_MAX || !left.some((id) => refused.has(id))) {
        for (const id of left) failed.set(id, refused.get(id) ?? error);
        // It is about none of them, so any other would fail alike.
        return refused.size === 0 ? error : null;
      }
      for (const [id, why] of refused) {
        if (isSoAlready(why)) there.push(id);
        else failed.set(id, why);
      }
      left = left.filter((id) => !refused.has(id));
    }
  }
  return null;
}

function isSoAlready({ code, details }: TicketsError): boolean {
  const { from, to } = details;
  return code === "invalid_transition" && typeof from === "string" && from === to;
}

/** Which of many tickets were refused and why, as each would have been alone. */
export function refusedOf(error: unknown): ReadonlyMap<string, TicketsError> {
  const { refused } = (error instanceof TicketsError ? error.details : {}) as { refused?: unknown };
  const all = Array.isArray(refused) ? (refused as readonly Refused[]) : [];
  return new Map(
    all.map(({ ticket_id, code, message, details }) => {
      const status = (error as TicketsError).status;
      return [ticket_id, new TicketsError({ code, message, status, details: details ?? {} })];
    }),
  );
}

interface Refused {
  readonly ticket_id: string;
  readonly code: string;
  readonly message: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

function asError(problem: unknown): PenholderError {
  if (problem instanceof PenholderError) return problem;
  return new PenholderError("unknown", String(problem));
}
