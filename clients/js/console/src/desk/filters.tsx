import { type RefObject, useEffect, useRef, useState } from "react";
import {
  TICKET_CATEGORIES,
  TICKET_PRIORITIES,
  TICKET_STATUSES,
  type TicketFilters,
  type TicketStatus,
} from "../../../src/index.ts";
import { useConnection, useTicketStats } from "../../../src/react.tsx";
import { asOfWords } from "../as-of.ts";
import { DEMO_TEAM } from "../people.ts";
import { useNames } from "./names.ts";
import { PersonPicker } from "./person-picker.tsx";
import { useUnknownName } from "./use-people.ts";
import { useViewer } from "./viewer.ts";
import { CATEGORY_WORDS, PRIORITY_WORDS, statusWord } from "./words.ts";

interface FiltersProps {
  readonly filters: TicketFilters;
  readonly isDemo: boolean;
  readonly onChange: (filters: TicketFilters) => void;
}

const SEARCH_PAUSE_MS = 250;

export function Filters({ filters, isDemo, onChange }: FiltersProps) {
  const { isStaff } = useViewer();
  const [isOpen, setOpen] = useState(false);
  const search = useRef<HTMLInputElement>(null);
  const set = (change: Partial<Record<keyof TicketFilters, unknown>>) => {
    const entries = Object.entries({ ...filters, ...change });
    onChange(Object.fromEntries(entries.filter(([, value]) => value !== "" && value != null)));
  };
  const { status: _, q = "", ...rest } = filters;
  const count = Object.keys(rest).length;
  return (
    <search className="filters">
      <StatusFilter filters={filters} onChange={(status) => set({ status })} />
      <div className="filter-row" data-open={isOpen}>
        <Search text={q} field={search} onChange={(text) => set({ q: text })} />
        <button
          type="button"
          className="button filter-toggle"
          aria-expanded={isOpen}
          onClick={() => setOpen(!isOpen)}
          data-testid="filter-toggle"
        >
          Filters{count > 0 && <span className="count">{count}</span>}
        </button>
        {isStaff && (
          <AssigneeFilter
            value={filters.assigned_to ?? ""}
            isDemo={isDemo}
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
        {(count > 0 || q !== "") && (
          <button
            type="button"
            className="button quiet filter-clear"
            onClick={() => {
              set({ assigned_to: "", priority: "", category: "", q: "" });
              // The button that was pressed goes.
              search.current?.focus();
            }}
            data-testid="filter-clear"
          >
            Clear
          </button>
        )}
      </div>
    </search>
  );
}

interface AssigneeFilterProps {
  readonly value: string;
  readonly isDemo: boolean;
  readonly onChange: (id: string) => void;
}

/** Whose tickets: the address may name anybody, who is looked up then. */
function AssigneeFilter({ value, isDemo, onChange }: AssigneeFilterProps) {
  const { person } = useViewer();
  const nameOf = useNames();
  const first = [
    { id: "", label: "Anybody" },
    { id: person.user, label: `Mine (${person.name})` },
    { id: "none", label: "Unassigned" },
  ];
  const isUnknown = !first.some(({ id }) => id === value) && nameOf(value) === value;
  useUnknownName(isUnknown ? value : null);
  const chosen = first.find(({ id }) => id === value) ?? { id: value, label: nameOf(value) };
  return (
    <div className="choice">
      <span aria-hidden="true">Assignee</span>
      <PersonPicker
        label="Assignee"
        testId="filter-assignee"
        chosen={chosen}
        first={first}
        known={isDemo ? DEMO_TEAM : []}
        onChoose={({ id }) => onChange(id)}
      />
    </div>
  );
}

interface StatusFilterProps {
  readonly filters: TicketFilters;
  readonly onChange: (status: readonly TicketStatus[] | null) => void;
}

/** Statuses with how many tickets have them, whatever the other filters are. */
function StatusFilter({ filters, onChange }: StatusFilterProps) {
  const { isStaff } = useViewer();
  const { stats, isLive } = useTicketStats();
  const { asOf } = useConnection();
  const isStale = stats !== null && !isLive && asOf !== null;
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
    <fieldset
      className="filter-chips"
      title={isStale ? `Counted ${asOfWords(asOf)}` : undefined}
      data-stale={isStale}
      data-testid="status-filter"
    >
      <legend className="visually-hidden">Status{isStale && `, counted ${asOfWords(asOf)}`}</legend>
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

interface SearchProps {
  readonly text: string;
  readonly field: RefObject<HTMLInputElement | null>;
  readonly onChange: (text: string) => void;
}

/** Asks once the typing pauses. */
function Search({ text, field, onChange }: SearchProps) {
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
      ref={field}
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
