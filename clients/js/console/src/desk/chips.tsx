import type { TicketPriority, TicketStatus } from "../../../src/index.ts";
import { asOfWords } from "../as-of.ts";
import { useViewer } from "./viewer.ts";
import { PRIORITY_WORDS, statusWord } from "./words.ts";

export function StatusChip({ status }: { status: TicketStatus }) {
  const { isStaff } = useViewer();
  return (
    <span className="status-chip" data-status={status} data-testid="row-status">
      {statusWord(status, isStaff)}
    </span>
  );
}

/** Nothing for the usual one, so that what stands out does. */
export function PriorityChip({ priority }: { priority: TicketPriority }) {
  return (
    <span className="priority-chip" data-priority={priority}>
      {PRIORITY_WORDS[priority]}
      <span className="visually-hidden"> priority</span>
    </span>
  );
}

/** A pen, beside the name of whoever has it. */
export function PenMark({ name, asOf }: { name: string; asOf: number | null }) {
  const has = asOf === null ? "has the pen" : `had the pen ${asOfWords(asOf)}`;
  return (
    <span
      className="pen-mark"
      title={`${name} ${has}`}
      data-stale={asOf !== null}
      data-testid="row-pen"
    >
      <svg viewBox="0 0 20 20" aria-hidden="true">
        <path d="M14.6 4.2a2 2 0 0 1 2.8 2.8L7.6 16.8 3.5 18l1.2-4.1z" />
      </svg>
      <span className="pen-name">{name}</span>
      <span className="visually-hidden"> {has}</span>
    </span>
  );
}
