import { useMemo, useState } from "react";
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
import { DEMO_PEOPLE } from "../people.ts";
import { PriorityChip, StatusChip } from "./chips.tsx";
import { Problem } from "./problem.tsx";
import { useRequester } from "./ticket-row.tsx";
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
  const [reason, setReason] = useState("");
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
      <StatusControl key={ticket.status} {...{ ticket, run, actions, reason, setReason }} />
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

interface StatusControlProps extends ControlProps {
  /** It outlives a change of the status by somebody else. */
  readonly reason: string;
  readonly setReason: (reason: string) => void;
}

/** Only where the ticket may go from here is offered; the change is made once it is confirmed. */
function StatusControl({ ticket, actions, run, reason, setReason }: StatusControlProps) {
  const { isStaff } = useViewer();
  const [to, setTo] = useState<TicketStatus | null>(null);
  const next = TICKET_TRANSITIONS[ticket.status].filter((word) => isStaff || mayChoose(word));
  const change = (event: React.FormEvent) => {
    event.preventDefault();
    if (to === null) return;
    void run(async () => {
      await actions.transition(to, reason.trim() || undefined);
      setReason("");
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
              data-testid="change-status"
            >
              Change status
            </button>
            <button type="button" className="button quiet" onClick={() => setTo(null)}>
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
  const team = useTeam(ticket, members, isDemo);
  return (
    <>
      <div className="fact">
        <label htmlFor="assignee">Assignee</label>
        <select
          id="assignee"
          value={ticket.assigned_to_id ?? ""}
          onChange={(event) => {
            const id = event.target.value;
            void run(() => actions.assign(id === "" ? null : id));
          }}
          data-testid="assignee"
        >
          <option value="">Nobody</option>
          {team.map(([id, name]) => (
            <option key={id} value={id}>
              {name}
            </option>
          ))}
        </select>
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
      <dd data-testid="requester">{requester}</dd>
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

/** Who can be assigned, as far as the page knows: the server knows them all, but has no list of them. */
function useTeam(
  ticket: Ticket,
  members: readonly Member[],
  isDemo: boolean,
): readonly (readonly [id: string, name: string])[] {
  const { person } = useViewer();
  const { assigned_to_id: assignee, assignee_name: assigneeName } = ticket;
  return useMemo(() => {
    const team = new Map([[person.user, person.name]]);
    const add = (id: string, name: string) => {
      if (!team.has(id)) team.set(id, name);
    };
    if (assignee != null) add(assignee, assigneeName ?? assignee);
    for (const { key, user } of members) if (worksHere(user.role)) add(key, user.name);
    if (isDemo)
      for (const { user, name, role } of DEMO_PEOPLE) if (worksHere(role)) add(user, name);
    return [...team];
  }, [person, assignee, assigneeName, members, isDemo]);
}
