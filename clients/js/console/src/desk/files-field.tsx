import { type KeyboardEvent, useId, useRef } from "react";
import { type FileDraft, TicketsError } from "../../../src/index.ts";
import { FileIcon, webHost } from "./files.tsx";

/** A file as it is typed in. */
export interface FileText {
  readonly url: string;
  readonly name: string;
}

interface FilesFieldProps {
  readonly files: readonly FileText[];
  readonly max: number;
  readonly isReadOnly: boolean;
  /** Why the files were refused. */
  readonly problem: string | null;
  readonly onChange: (files: readonly FileText[]) => void;
}

const URL_MAX = 2048;
const NAME_MAX = 255;

/** Files that lie elsewhere, by address and name. */
export function FilesField({ files, max, isReadOnly, problem, onChange }: FilesFieldProps) {
  const id = useId();
  const list = useRef<HTMLUListElement>(null);
  const add = useRef<HTMLButtonElement>(null);
  const change = (index: number, fields: Partial<FileText>) =>
    onChange(files.map((file, n) => (n === index ? { ...file, ...fields } : file)));
  // A list of a few at most, so that the new one is found once it is there.
  const addOne = () => {
    onChange([...files, { url: "", name: "" }]);
    setTimeout(() => list.current?.querySelector<HTMLElement>("li:last-child input")?.focus());
  };
  const remove = (index: number) => {
    onChange(files.filter((_, n) => n !== index));
    add.current?.focus();
  };
  const isFull = files.length >= max;
  return (
    <fieldset className="files-field" aria-describedby={`${id}-problem`} data-testid="files-field">
      <legend className="visually-hidden">Attachments</legend>
      <ul ref={list}>
        {files.map((file, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a place in the list is all that tells two blank ones apart
          <li key={index} className="file-fields">
            <input
              aria-label={`Address of attachment ${index + 1}`}
              placeholder="https://…"
              inputMode="url"
              value={file.url}
              maxLength={URL_MAX}
              readOnly={isReadOnly}
              aria-invalid={problem !== null}
              onChange={(event) => change(index, { url: event.target.value })}
              onKeyDown={notSubmitting}
              autoComplete="off"
              spellCheck={false}
              data-testid="file-url"
            />
            <input
              aria-label={`Name of attachment ${index + 1}`}
              placeholder={nameOf(file.url) || "Name"}
              value={file.name}
              maxLength={NAME_MAX}
              readOnly={isReadOnly}
              onChange={(event) => change(index, { name: event.target.value })}
              onKeyDown={notSubmitting}
              autoComplete="off"
              data-testid="file-name"
            />
            <button
              type="button"
              className="button link"
              aria-label={`Remove attachment ${index + 1}`}
              disabled={isReadOnly}
              onClick={() => remove(index)}
              data-testid="file-remove"
            >
              Remove
            </button>
          </li>
        ))}
      </ul>
      <div className="files-foot">
        <button
          type="button"
          className="button link add-file"
          ref={add}
          aria-disabled={isFull || isReadOnly}
          onClick={() => !isFull && !isReadOnly && addOne()}
          data-testid="add-file"
        >
          <FileIcon />
          Attach a link
        </button>
        {isFull && <span className="muted small">{max} at most.</span>}
      </div>
      <p
        id={`${id}-problem`}
        className="field-error"
        aria-live="polite"
        data-testid="files-problem"
      >
        {problem}
      </p>
    </fieldset>
  );
}

/** What is sent: blank lines are none, and a file without a name has that of its address. */
export function fileDrafts(files: readonly FileText[]): readonly FileDraft[] {
  return files
    .map(({ url, name }) => ({ url: url.trim(), name: name.trim() }))
    .filter(({ url, name }) => url !== "" || name !== "")
    .map(({ url, name }) => ({ url, name: name || nameOf(url) || url, size: 0 }));
}

/** Why files were refused, if that is why. */
export function filesProblem(error: unknown, files: readonly FileText[]): string | null {
  const isOfFiles = error instanceof TicketsError && error.details.field === "attachments";
  if (!isOfFiles) return null;
  const wrong = fileDrafts(files).find(({ url }) => webHost(url) === null);
  if (wrong === undefined) return error.message;
  const what = wrong.url === "" ? `What “${wrong.name}” is the name of` : `“${wrong.url}”`;
  return `${what} is no address of http or https.`;
}

/** The last part of an address, or its host. */
function nameOf(url: string): string {
  const host = webHost(url.trim());
  if (host === null) return "";
  const last = new URL(url.trim()).pathname.split("/").pop() ?? "";
  try {
    return decodeURIComponent(last) || host;
  } catch {
    return last;
  }
}

/** The form is sent by its button: nobody means it who ends the line of an address. */
function notSubmitting(event: KeyboardEvent): void {
  if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) event.preventDefault();
}
