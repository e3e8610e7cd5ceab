import { type FormEvent, type RefObject, useEffect, useRef, useState } from "react";
import {
  type ManyChanges,
  TICKET_PRIORITIES,
  TICKET_STATUSES,
  TICKET_TRANSITIONS,
  type Ticket,
  type TicketPriority,
  type TicketStatus,
} from "../../../src/index.ts";
import { DEMO_TEAM } from "../people.ts";
import { ticketCount } from "./many-words.ts";
import { useNames } from "./names.ts";
import { PersonPicker } from "./person-picker.tsx";
import { useViewer } from "./viewer.ts";
import { PRIORITY_WORDS, STATUS_WORDS } from "./words.ts";

interface ManyBarProps {
  /** How many could be selected. */
  readonly shown: number;
  readonly selected: readonly Ticket[];
  readonly isDemo: boolean;
  readonly isBusy: boolean;
  /** What has come of the last change, while nothing else is selected. */
  readonly said: string | null;
  readonly onSelectAll: (isOn: boolean) => void;
  readonly onChange: (changes: ManyChanges) => Promise<void>;
}

/** Above the list: selects all of it, and changes what is selected. As high with a selection as without one. */
export function ManyBar(props: ManyBarProps) {
  const { shown, selected, isBusy, said, onSelectAll } = props;
  const count = selected.length;
  const bar = useRef<HTMLDivElement>(null);
  const all = useRef<HTMLInputElement>(null);
  const isPart = count > 0 && count < shown;
  useEffect(() => {
    if (all.current !== null) all.current.indeterminate = isPart;
  }, [isPart]);
  useKeptFocus(count, bar, all);
  return (
    <div className="many-bar" data-any={count > 0} ref={bar} data-testid="many-bar">
      <label className="many-all">
        <input
          type="checkbox"
          className="check"
          ref={all}
          checked={count > 0 && count === shown}
          onChange={() => onSelectAll(count < shown)}
          aria-label={`Select all ${shown} shown`}
          data-testid="select-all"
        />
        <span className="many-count" aria-hidden="true" data-testid="many-count">
          {count > 0 ? `${count} selected` : (said ?? "Select all shown")}
        </span>
      </label>
      {count > 0 && (
        <>
          <ManyForm {...props} />
          <button
            type="button"
            className="button quiet many-clear"
            aria-label="Clear the selection"
            title="Clear the selection (Escape)"
            aria-disabled={isBusy}
            onClick={() => !isBusy && onSelectAll(false)}
            data-testid="many-clear"
          >
            Clear
          </button>
        </>
      )}
    </div>
  );
}

/** What had the focus goes with the selection. */
function useKeptFocus(
  count: number,
  bar: RefObject<HTMLElement | null>,
  all: RefObject<HTMLElement | null>,
): void {
  const had = useRef(false);
  useEffect(() => {
    const note = () => {
      const focused = document.activeElement;
      if (focused !== document.body) had.current = bar.current?.contains(focused) === true;
    };
    document.addEventListener("focusin", note);
    return () => document.removeEventListener("focusin", note);
  }, [bar]);
  useEffect(() => {
    if (count === 0 && had.current && document.activeElement === document.body) {
      all.current?.focus();
    }
  }, [count, all]);
}

/** What stays as it is is empty. */
interface Chosen {
  readonly status: TicketStatus | "";
  readonly assignee: string;
  readonly priority: TicketPriority | "";
}

const KEEP: Chosen = { status: "", assignee: "", priority: "" };
/** Not the id of anybody, which is never empty and is the server's to say. */
const NOBODY = " ";

function ManyForm({ selected, isDemo, isBusy, onChange }: ManyBarProps) {
  const [chosen, setChosen] = useState(KEEP);
  const [isOpen, setOpen] = useState(false);
  const toggle = useRef<HTMLButtonElement>(null);
  const set = (change: Partial<Chosen>) => setChosen({ ...chosen, ...change });
  const changes = changesOf(chosen);
  const isReady = Object.keys(changes).length > 0 && !isBusy;
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (!isReady) return;
    await onChange(changes);
    setOpen(false);
    // Where the fields are folded away, the button that was pressed goes with them; elsewhere this one is not shown.
    toggle.current?.focus();
  };
  return (
    <form className="many-form" aria-label="Change the selected tickets" onSubmit={submit}>
      <button
        type="button"
        ref={toggle}
        className="button small-button many-toggle"
        aria-expanded={isOpen}
        onClick={() => setOpen(!isOpen)}
        data-testid="many-toggle"
      >
        Change…
      </button>
      <div className="many-fields" data-open={isOpen}>
        <select
          aria-label="Status"
          value={chosen.status}
          onChange={(event) => set({ status: event.target.value as Chosen["status"] })}
          data-set={chosen.status !== ""}
          data-testid="many-status"
        >
          <option value="">{chosen.status === "" ? "Status…" : "As it is"}</option>
          {TICKET_STATUSES.map((status) => (
            <StatusOption key={status} status={status} selected={selected} />
          ))}
        </select>
        <AssigneeField
          value={chosen.assignee}
          isDemo={isDemo}
          onChange={(assignee) => set({ assignee })}
        />
        <select
          aria-label="Priority"
          value={chosen.priority}
          onChange={(event) => set({ priority: event.target.value as Chosen["priority"] })}
          data-set={chosen.priority !== ""}
          data-testid="many-priority"
        >
          <option value="">{chosen.priority === "" ? "Priority…" : "As it is"}</option>
          {TICKET_PRIORITIES.map((priority) => (
            <option key={priority} value={priority}>
              {PRIORITY_WORDS[priority]}
            </option>
          ))}
        </select>
        <button
          type="submit"
          className="button small-button primary"
          aria-label={isBusy ? undefined : `Change ${ticketCount(selected.length)}`}
          aria-disabled={!isReady}
          title={isReady || isBusy ? undefined : "Choose what is to be different"}
          data-testid="many-change"
        >
          {isBusy ? "Changing…" : "Change"}
        </button>
      </div>
    </form>
  );
}

function changesOf({ status, assignee, priority }: Chosen): ManyChanges {
  return {
    ...(status === "" ? {} : { status }),
    ...(priority === "" ? {} : { priority }),
    ...(assignee === "" ? {} : { assigned_to_id: assignee === NOBODY ? null : assignee }),
  };
}

interface StatusOptionProps {
  readonly status: TicketStatus;
  readonly selected: readonly Ticket[];
}

/** Says how many of them may go there, where that is not all. */
function StatusOption({ status, selected }: StatusOptionProps) {
  const may = ({ status: from }: Ticket) =>
    from === status || TICKET_TRANSITIONS[from].includes(status);
  const count = selected.filter(may).length;
  const part = count === selected.length ? "" : ` (${count} of ${selected.length})`;
  return (
    <option value={status} disabled={count === 0}>
      {STATUS_WORDS[status]}
      {part}
    </option>
  );
}

interface AssigneeFieldProps {
  readonly value: string;
  readonly isDemo: boolean;
  readonly onChange: (id: string) => void;
}

function AssigneeField({ value, isDemo, onChange }: AssigneeFieldProps) {
  const { person } = useViewer();
  const nameOf = useNames();
  const first = [
    { id: "", label: "As it is" },
    { id: person.user, label: `Me (${person.name})` },
    { id: NOBODY, label: "Nobody" },
  ];
  const named = { id: value, label: value === NOBODY ? "Nobody" : nameOf(value) };
  return (
    <PersonPicker
      label="Assignee"
      testId="many-assignee"
      chosen={value === "" ? { id: "", label: "Assignee…" } : named}
      first={first}
      known={isDemo ? DEMO_TEAM : []}
      onChoose={({ id }) => onChange(id)}
    />
  );
}
