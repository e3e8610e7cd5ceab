import { type FormEvent, useId, useRef, useState } from "react";
import { TICKET_FILES_MAX, type TicketDraft, TicketsError } from "../../../src/index.ts";
import { usePenholder } from "../../../src/react.tsx";
import { FilesField, type FileText, fileDrafts, filesProblem } from "./files-field.tsx";
import { Problem } from "./problem.tsx";
import { useKeptJson } from "./use-kept.ts";
import { CATEGORY_WORDS, PRIORITY_WORDS } from "./words.ts";

interface NewTicketProps {
  readonly onMade: (id: string) => void;
  readonly onCancel: () => void;
}

/** As it is typed in. */
interface Draft extends Required<Omit<TicketDraft, "attachments">> {
  readonly files: readonly FileText[];
}

const BLANK: Draft = {
  title: "",
  description: "",
  category: "general",
  priority: "medium",
  files: [],
};
const TITLE_MAX = 255;
const DESCRIPTION_MAX = 20_000;

export function NewTicket({ onMade, onCancel }: NewTicketProps) {
  const { tickets } = usePenholder();
  const [kept, keep] = useKeptJson<Partial<Draft>>("penholder:console:new-ticket", BLANK);
  const draft: Draft = { ...BLANK, ...kept };
  const [error, setError] = useState<unknown>(null);
  /** The files as they were sent last. */
  const [sent, setSent] = useState<readonly FileText[]>([]);
  const [isTried, setTried] = useState(false);
  const [isBusy, setBusy] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  const set = (change: Partial<Draft>) => keep({ ...draft, ...change });
  const missing = {
    title: draft.title.trim() === "" ? "Say in a few words what it is about." : null,
    description: draft.description.trim() === "" ? "Say what is the matter." : null,
  };
  const refused = error instanceof TicketsError ? error.details.field : null;
  const isOfField = ["title", "description", "attachments"].includes(String(refused));
  const problemOf = (field: "title" | "description") => {
    if (isTried && missing[field] !== null) return missing[field];
    return refused === field ? (error as TicketsError).message : null;
  };
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (isBusy) return;
    setTried(true);
    const first = missing.title !== null ? "title" : missing.description && "description";
    if (first !== null) {
      form.current?.querySelector<HTMLElement>(`[name="${first}"]`)?.focus();
      return;
    }
    setBusy(true);
    setError(null);
    const { files, ...text } = draft;
    setSent(files);
    try {
      const title = draft.title.trim();
      const { id } = await tickets.create({ ...text, title, attachments: fileDrafts(files) });
      keep(null);
      onMade(id);
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };
  return (
    <form
      className="card new-ticket"
      onSubmit={submit}
      ref={form}
      noValidate
      data-testid="new-form"
    >
      <h1 tabIndex={-1} data-opened>
        New ticket
      </h1>
      <Field label="What is it about?" problem={problemOf("title")}>
        {(aria) => (
          <input
            {...aria}
            name="title"
            value={draft.title}
            maxLength={TITLE_MAX}
            readOnly={isBusy}
            onChange={(event) => set({ title: event.target.value })}
            autoComplete="off"
            data-testid="new-title"
          />
        )}
      </Field>
      <Field label="What is the matter?" problem={problemOf("description")}>
        {(aria) => (
          <textarea
            {...aria}
            name="description"
            rows={8}
            value={draft.description}
            maxLength={DESCRIPTION_MAX}
            readOnly={isBusy}
            onChange={(event) => set({ description: event.target.value })}
            data-testid="new-description"
          />
        )}
      </Field>
      <div className="field-pair">
        <WordField
          label="Category"
          testId="new-category"
          value={draft.category}
          words={CATEGORY_WORDS}
          onChange={(category) => set({ category })}
        />
        <WordField
          label="Priority"
          testId="new-priority"
          value={draft.priority}
          words={PRIORITY_WORDS}
          onChange={(priority) => set({ priority })}
        />
      </div>
      <FilesField
        files={draft.files}
        max={TICKET_FILES_MAX}
        isReadOnly={isBusy}
        problem={filesProblem(error, sent)}
        onChange={(files) => set({ files })}
      />
      <Problem error={isOfField ? null : error} testId="new-problem" />
      <div className="form-buttons">
        <button
          type="submit"
          className="button primary"
          aria-disabled={isBusy}
          data-testid="new-submit"
        >
          {isBusy ? "Sending…" : "Create ticket"}
        </button>
        <button type="button" className="button quiet" onClick={onCancel}>
          Cancel
        </button>
      </div>
    </form>
  );
}

interface WordFieldProps<W extends string> {
  readonly label: string;
  readonly testId: string;
  readonly value: W;
  readonly words: Readonly<Record<W, string>>;
  readonly onChange: (word: W) => void;
}

/** A choice of words, in their order. */
function WordField<W extends string>(props: WordFieldProps<W>) {
  const { label, testId, value, words, onChange } = props;
  return (
    <Field label={label} problem={null}>
      {(aria) => (
        <select
          {...aria}
          value={value}
          onChange={(event) => onChange(event.target.value as W)}
          data-testid={testId}
        >
          {(Object.entries(words) as [W, string][]).map(([word, text]) => (
            <option key={word} value={word}>
              {text}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

interface FieldProps {
  readonly label: string;
  readonly problem: string | null;
  readonly children: (aria: {
    id: string;
    "aria-invalid": boolean;
    "aria-describedby": string;
  }) => React.ReactNode;
}

function Field({ label, problem, children }: FieldProps) {
  const id = useId();
  const hint = `${id}-problem`;
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {children({ id, "aria-invalid": problem !== null, "aria-describedby": hint })}
      <p id={hint} className="field-error" aria-live="polite">
        {problem}
      </p>
    </div>
  );
}
