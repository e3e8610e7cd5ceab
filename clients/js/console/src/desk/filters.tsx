import { useEffect, useRef, useState } from "react";
import {
  TICKET_CATEGORIES,
  TICKET_PRIORITIES,
  TICKET_STATUSES,
  type TicketFilters,
  type TicketStatus,
} from "../../../src/index.ts";
import { useTicketStats } from "../../../src/react.tsx";
import { useViewer } from "./viewer.ts";
import { CATEGORY_WORDS, PRIORITY_WORDS, statusWord } from "./words.ts";

interface FiltersProps {
  readonly filters: TicketFilters;
  readonly onChange: (filters: TicketFilters) => void;
}

const SEARCH_PAUSE_MS = 250;

export function Filters({ filters, onChange }: FiltersProps) {
  const { person, isStaff } = useViewer();
  const set = (change: Partial<Record<keyof TicketFilters, unknown>>) => {
    const entries = Object.entries({ ...filters, ...change });
    onChange(Object.fromEntries(entries.filter(([, value]) => value !== "" && value != null)));
  };
  const { status: _, ...rest } = filters;
  return (
    <search className="filters">
      <StatusFilter filters={filters} onChange={(status) => set({ status })} />
      <div className="filter-row">
        <Search text={filters.q ?? ""} onChange={(q) => set({ q })} />
        {isStaff && (
          <Choice
            label="Assignee"
            testId="filter-assignee"
            value={filters.assigned_to ?? ""}
            options={[
              ["", "Anybody"],
              [person.user, "Mine"],
              ["none", "Unassigned"],
            ]}
            onChange={(assigned_to) => set({ assigned_to })}
          />
        )}
        <Choice
          label="Priority"
          testId="filter-priority"
          value={filters.priority ?? ""}
          options={[["", "Any"], ...TICKET_PRIORITIES.map((w) => [w, PRIORITY_WORDS[w]] as const)]}
          onChange={(priority) => set({ priority })}
        />
        <Choice
          label="Category"
          testId="filter-category"
          value={filters.category ?? ""}
          options={[["", "Any"], ...TICKET_CATEGORIES.map((w) => [w, CATEGORY_WORDS[w]] as const)]}
          onChange={(category) => set({ category })}
        />
        {Object.keys(rest).length > 0 && (
          <button
            type="button"
            className="button quiet"
            onClick={() => set({ assigned_to: "", priority: "", category: "", q: "" })}
            data-testid="filter-clear"
          >
            Clear
          </button>
        )}
      </div>
    </search>
  );
}

interface StatusFilterProps {
  readonly filters: TicketFilters;
  readonly onChange: (status: readonly TicketStatus[] | null) => void;
}

/** Statuses with how many tickets have them, whatever the other filters are. */
function StatusFilter({ filters, onChange }: StatusFilterProps) {
  const { isStaff } = useViewer();
  const { stats } = useTicketStats();
  const chosen = filters.status ?? [];
  const toggle = (status: TicketStatus) => {
    const next = chosen.includes(status)
      ? chosen.filter((word) => word !== status)
      : [...chosen, status];
    onChange(next.length === 0 ? null : next);
  };
  const chip = (key: string, label: string, count: number | undefined, isOn: boolean) => (
    <button
      key={key}
      type="button"
      className="filter-chip"
      data-status={key}
      aria-pressed={isOn}
      onClick={() => (key === "all" ? onChange(null) : toggle(key as TicketStatus))}
      data-testid={`filter-${key}`}
    >
      {label}
      <span className="filter-count" data-testid={`count-${key}`}>
        {count ?? "–"}
      </span>
    </button>
  );
  return (
    <fieldset className="filter-chips">
      <legend className="visually-hidden">Status</legend>
      {chip("all", "All", stats?.total, chosen.length === 0)}
      {TICKET_STATUSES.map((status) =>
        chip(
          status,
          statusWord(status, isStaff),
          stats?.by_status[status],
          chosen.includes(status),
        ),
      )}
    </fieldset>
  );
}

interface ChoiceProps {
  readonly label: string;
  readonly testId: string;
  readonly value: string;
  readonly options: readonly (readonly [value: string, label: string])[];
  readonly onChange: (value: string) => void;
}

function Choice({ label, testId, value, options, onChange }: ChoiceProps) {
  return (
    <label className="choice">
      <span>{label}</span>
      <select
        value={value}
        onChange={(event) => onChange(event.target.value)}
        data-testid={testId}
        data-set={value !== ""}
      >
        {options.map(([word, text]) => (
          <option key={word} value={word}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}

/** Asks once the typing pauses. */
function Search({ text, onChange }: { text: string; onChange: (text: string) => void }) {
  const [value, setValue] = useState(text);
  const [told, setTold] = useState(text);
  if (told !== text) {
    // Changed elsewhere: cleared, or by going back.
    setTold(text);
    if (value.trim() !== text) setValue(text);
  }
  // Other filters may be chosen, or a ticket opened, while the typing pauses.
  const latest = useRef(onChange);
  useEffect(() => {
    latest.current = onChange;
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: what is typed says when
  useEffect(() => {
    if (value.trim() === text) return;
    const timer = setTimeout(() => latest.current(value.trim()), SEARCH_PAUSE_MS);
    return () => clearTimeout(timer);
  }, [value]);
  return (
    <input
      type="search"
      className="filter-search"
      aria-label="Search in titles and descriptions"
      placeholder="Search"
      value={value}
      maxLength={200}
      onChange={(event) => setValue(event.target.value)}
      data-testid="filter-search"
    />
  );
}
