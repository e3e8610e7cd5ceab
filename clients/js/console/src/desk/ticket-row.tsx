import { memo } from "react";
import { type Ticket, type TopicRow, ticketTopic } from "../../../src/index.ts";
import { follow } from "../route.ts";
import { Present } from "../topics/present.tsx";
import { PenMark, PriorityChip, StatusChip } from "./chips.tsx";
import { useNames } from "./names.ts";
import type { Switch } from "./selection.ts";
import { useNow } from "./use-now.ts";
import { useViewer } from "./viewer.ts";
import { ago, fullTime } from "./words.ts";

interface TicketRowProps {
  readonly ticket: Ticket;
  readonly href: string;
  /** Who looks at it, and who has its pen. */
  readonly present: TopicRow | undefined;
  /** When that was so, if it is not now. */
  readonly asOf: number | null;
  readonly isOpen: boolean;
  /** Null where nothing can be selected. */
  readonly isSelected: boolean | null;
  readonly onSwitch: (change: Switch) => void;
}

/** A link, so that it opens in another tab too. */
export const TicketRow = memo(function TicketRow(props: TicketRowProps) {
  const { ticket, href, present, asOf, isOpen, isSelected, onSwitch } = props;
  const { isStaff } = useViewer();
  const now = useNow();
  const requester = useRequester(ticket);
  const count = ticket.comment_count;
  return (
    <li data-selected={isSelected === true}>
      {isSelected !== null && (
        <input
          type="checkbox"
          className="check row-check"
          checked={isSelected}
          onChange={({ target, nativeEvent }) => {
            const { shiftKey } = nativeEvent as MouseEvent;
            onSwitch({ id: ticket.id, isOn: target.checked, isRange: shiftKey });
          }}
          aria-label={`Select ${ticket.title}`}
          data-testid={`select-${ticket.id}`}
        />
      )}
      <a
        className="ticket-row"
        href={href}
        aria-current={isOpen ? "page" : undefined}
        onClick={(event) => follow(event, href)}
        data-testid={`ticket-${ticket.id}`}
        data-row="ticket"
        data-status={ticket.status}
        data-priority={ticket.priority}
      >
        <span className="row-title" title={ticket.title}>
          {ticket.title}
        </span>
        <span className="row-meta">
          {isStaff && <span className="row-requester">{requester ?? "No customer"}</span>}
          <time dateTime={ticket.created_at} title={fullTime(ticket.created_at)}>
            {ago(ticket.created_at, now)}
          </time>
          {count > 0 && (
            <span>
              {count} {count === 1 ? "comment" : "comments"}
            </span>
          )}
        </span>
        <span className="row-status">
          <StatusChip status={ticket.status} />
        </span>
        <span className="row-priority">
          <PriorityChip priority={ticket.priority} />
        </span>
        <span className="row-assignee" data-testid="row-assignee">
          <span className="visually-hidden">Assigned to </span>
          {ticket.assignee_name ?? <span className="muted">nobody</span>}
        </span>
        <span className="row-present">
          {present?.holder != null && <PenMark name={present.holder.name} asOf={asOf} />}
          <Present row={present ?? { ...NOBODY, topic: ticketTopic(ticket.id) }} asOf={asOf} />
        </span>
      </a>
    </li>
  );
});

const NOBODY = { count: 0, names: [], holder: null, prior: null };

/** Whose ticket it is; null where it is nobody's, such as one that the team has made for itself. */
export function useRequester({ user_id, guest }: Ticket): string | null {
  const nameOf = useNames();
  if (guest !== null) return `${guest.name} (guest)`;
  return user_id === null ? null : nameOf(user_id);
}
