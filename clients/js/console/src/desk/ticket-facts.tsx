import { useMemo, useRef, useState } from "react";
import {
  type Member,
  type PenView,
  TICKET_CATEGORIES,
  TICKET_PRIORITIES,
  TICKET_TRANSITIONS,
  type Ticket,
  type TicketActions,
  type TicketCategory,
  type TicketPriority,
  type TicketStatus,
  isStaff as worksHere,
} from "../../../src/index.ts";
import { DEMO_TEAM } from "../people.ts";
import { PriorityChip, StatusChip } from "./chips.tsx";
import { useNames } from "./names.ts";
import { type Choice, PersonPicker } from "./person-picker.tsx";
import { Problem } from "./problem.tsx";
import { useRequester } from "./ticket-row.tsx";
import { useKept } from "./use-kept.ts";
import { useNow } from "./use-now.ts";
import { useViewer } from "./viewer.ts";
import { ago, CATEGORY_WORDS, fullTime, PRIORITY_WORDS, statusWord } from "./words.ts";

interface TicketFactsProps {
  readonly ticket: Ticket;
  readonly actions: TicketActions;
  /** Who is here: those of the team can be assigned. */
  readonly members: readonly Member[];
  readonly pen: PenView;
  readonly isDemo: boolean;
}

/** Status, assignee, priority, category: for the team to change, for customers to read. */
export function TicketFacts({ ticket, actions, members, pen, isDemo }: TicketFactsProps) {
  const { isStaff } = useViewer();
  const [error, setError] = useState<unknown>(null);
  const [isBusy, setBusy] = useState(false);
  const run = async (action: () => Promise<unknown>) => {
    setBusy(true);
    setError(null);
    try {
      await action();
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };
  return (
    <section className="card facts" aria-labelledby="facts-title" aria-busy={isBusy}>
      <h2 id="facts-title" className="visually-hidden">
        Details
      </h2>
      <StatusControl {...{ ticket, run, actions, isBusy }} />
      {isStaff ? (
        <StaffControls {...{ ticket, actions, members, pen, isDemo, run }} />
      ) : (
        <ReadFacts ticket={ticket} />
      )}
      <Problem error={error} testId="facts-problem" />
      <Dates ticket={ticket} />
    </section>
  );
}

interface ControlProps {
  readonly ticket: Ticket;
  readonly actions: TicketActions;
  readonly run: (action: () => Promise<unknown>) => Promise<void>;
}

/** Only where the ticket may go from here is offered; the change is made once it is confirmed. */
function StatusControl({ ticket, actions, run, isBusy }: ControlProps & { isBusy: boolean }) {
  const { isStaff } = useViewer();
  const [choice, setChoice] = useState<{ from: TicketStatus; to: TicketStatus } | null>(null);
  // What was chosen is of a status that may have gone on meanwhile; the reason outlives that.
  const to = choice?.from === ticket.status ? choice.to : null;
  const [reason, setReason] = useKept(`penholder:console:reason:${ticket.id}`);
  const field = useRef<HTMLSelectElement>(null);
  const setTo = (word: TicketStatus | null) =>
    setChoice(word === null ? null : { from: ticket.status, to: word });
  const next = TICKET_TRANSITIONS[ticket.status].filter((word) => isStaff || mayChoose(word));
  const change = (event: React.FormEvent) => {
    event.preventDefault();
    // Twice would be another change, from what the first has made of it.
    if (to === null || isBusy) return;
    void run(async () => {
      await actions.transition(to, reason.trim() || undefined);
      setReason("");
      // The button that was pressed goes.
      field.current?.focus();
    });
  };
  return (
    <form className="fact status-control" onSubmit={change}>
      <label htmlFor="status">Status</label>
      {next.length === 0 ? (
        <StatusChip status={ticket.status} />
      ) : (
        <select
          id="status"
          ref={field}
          value={to ?? ticket.status}
          onChange={(event) => {
            const word = event.target.value as TicketStatus;
            setTo(word === ticket.status ? null : word);
          }}
          data-testid="status"
          data-status={ticket.status}
        >
          {[ticket.status, ...next].map((word) => (
            <option key={word} value={word}>
              {statusWord(word, isStaff)}
            </option>
          ))}
        </select>
      )}
      {to !== null && (
        <div className="confirm">
          <label htmlFor="reason" className="small">
            Why? <span className="muted">Optional, and seen by everybody here.</span>
          </label>
          <input
            id="reason"
            value={reason}
            maxLength={1000}
            onChange={(event) => setReason(event.target.value)}
            autoComplete="off"
            data-testid="reason"
          />
          <div className="form-buttons">
            <button
              type="submit"
              className="button small-button primary"
              aria-label={isBusy ? undefined : "Change status"}
              aria-disabled={isBusy}
              data-testid="change-status"
            >
              {isBusy ? "Changing…" : "Change"}
            </button>
            <button
              type="button"
              className="button quiet"
              onClick={() => {
                setTo(null);
                field.current?.focus();
              }}
              data-testid="status-cancel"
            >
              Cancel
            </button>
          </div>
        </div>
      )}
    </form>
  );
}

/** A customer closes their ticket, and opens it again. */
function mayChoose(to: TicketStatus): boolean {
  return to === "closed" || to === "open";
}

type StaffControlsProps = ControlProps & Pick<TicketFactsProps, "members" | "pen" | "isDemo">;

function StaffControls(props: StaffControlsProps) {
  const { ticket, actions, members, pen, isDemo, run } = props;
  // Who has the pen says so: without its fence they would seem to write past themselves.
  const guard = pen.isMine ? { fence: pen.pen?.fence } : {};
  const { person } = useViewer();
  const team = useKnownTeam(members, isDemo);
  const nameOf = useNames();
  const { assigned_to_id: assignee } = ticket;
  const nobody = { id: "", label: "Nobody" };
  return (
    <>
      <div className="fact">
        <span className="fact-label" aria-hidden="true">
          Assignee
        </span>
        <PersonPicker
          label="Assignee"
          testId="assignee"
          chosen={assignee == null ? nobody : { id: assignee, label: nameOf(assignee) }}
          first={[{ id: person.user, label: `Me (${person.name})` }, nobody]}
          known={team}
          onChoose={({ id }) => void run(() => actions.assign(id === "" ? null : id))}
        />
      </div>
      <div className="fact">
        <label htmlFor="priority">Priority</label>
        <select
          id="priority"
          value={ticket.priority}
          onChange={(event) => {
            const priority = event.target.value as TicketPriority;
            void run(() => actions.update({ priority }, guard));
          }}
          data-testid="priority"
        >
          {TICKET_PRIORITIES.map((word) => (
            <option key={word} value={word}>
              {PRIORITY_WORDS[word]}
            </option>
          ))}
        </select>
      </div>
      <div className="fact">
        <label htmlFor="category">Category</label>
        <select
          id="category"
          value={ticket.category}
          onChange={(event) => {
            const category = event.target.value as TicketCategory;
            void run(() => actions.update({ category }, guard));
          }}
          data-testid="category"
        >
          {TICKET_CATEGORIES.map((word) => (
            <option key={word} value={word}>
              {CATEGORY_WORDS[word]}
            </option>
          ))}
        </select>
      </div>
    </>
  );
}

function ReadFacts({ ticket }: { ticket: Ticket }) {
  return (
    <dl className="read-facts">
      <div className="fact">
        <dt>Assignee</dt>
        <dd data-testid="assignee">{ticket.assignee_name ?? "Nobody yet"}</dd>
      </div>
      <div className="fact">
        <dt>Priority</dt>
        <dd data-testid="priority">
          <PriorityChip priority={ticket.priority} />
        </dd>
      </div>
      <div className="fact">
        <dt>Category</dt>
        <dd data-testid="category">{CATEGORY_WORDS[ticket.category]}</dd>
      </div>
    </dl>
  );
}

function Dates({ ticket }: { ticket: Ticket }) {
  const requester = useRequester(ticket);
  const now = useNow();
  const dates = [
    ["Created", ticket.created_at],
    ["Changed", ticket.updated_at],
    ["Resolved", ticket.resolved_at],
    ["Closed", ticket.closed_at],
  ] as const;
  return (
    <dl className="dates small">
      <dt>Requester</dt>
      <dd data-testid="requester">{requester ?? "Nobody"}</dd>
      {dates.map(
        ([label, at]) =>
          at !== null && (
            <div key={label} className="date">
              <dt>{label}</dt>
              <dd>
                <time dateTime={at} title={fullTime(at)}>
                  {ago(at, now)}
                </time>
              </dd>
            </div>
          ),
      )}
    </dl>
  );
}

/** Who of the team is here, and in the demonstration all of them: for a server that lists nobody. */
function useKnownTeam(members: readonly Member[], isDemo: boolean): readonly Choice[] {
  return useMemo(() => {
    const here = members.filter(({ user }) => worksHere(user.role));
    const team = new Map(here.map(({ key, user }) => [key, { id: key, label: user.name }]));
    if (isDemo) for (const choice of DEMO_TEAM) team.set(choice.id, choice);
    return [...team.values()];
  }, [members, isDemo]);
}
