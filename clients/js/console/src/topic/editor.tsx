import { useEffect, useState } from "react";
import type { UsePresence } from "../../../src/react.tsx";
import { demoTopic } from "../demo-topics.ts";

interface EditorProps {
  readonly topic: string;
  readonly thing: string;
  readonly state: UsePresence;
}

/** A text that stands in for the application's editor: it drives activity and `unsaved`. */
export function Editor({ topic, thing, state }: EditorProps) {
  const { actions, priority } = state;
  const [text, setText, original] = useDraft(topic);
  const [hasFocus, setFocus] = useState(false);
  const isReadOnly = priority.isReadOnly;
  const isUnsaved = text !== original;
  const activity = hasFocus && !isReadOnly ? "editing" : "viewing";

  useEffect(() => {
    actions.update({ activity, unsaved: isUnsaved });
  }, [actions, activity, isUnsaved]);
  useEffect(() => {
    if (activity === "viewing") actions.typing(false);
  }, [actions, activity]);

  const change = (value: string) => {
    setText(value);
    actions.typing(true);
  };
  return (
    <section className="card editor" data-readonly={isReadOnly}>
      <div className="editor-head">
        <label htmlFor="document" className="card-title">
          {demoTopic(topic) === undefined ? "Document" : TEXT_NAMES[thing]}
        </label>
        {isUnsaved && (
          <button
            type="button"
            className="button quiet"
            onClick={() => setText(original)}
            data-testid="discard"
          >
            Discard changes
          </button>
        )}
      </div>
      <textarea
        id="document"
        value={text}
        onChange={(event) => change(event.target.value)}
        onFocus={() => setFocus(true)}
        onBlur={() => setFocus(false)}
        readOnly={isReadOnly}
        aria-describedby="document-note"
        rows={10}
        data-testid="document"
      />
      <p id="document-note" className="muted small">
        This text stays in this tab. Saving belongs to your application: Penholder tells it who is
        here and who goes first.
      </p>
    </section>
  );
}

const TEXT_NAMES: Record<string, string> = {
  ticket: "Reply",
  article: "Article",
  workflow: "Description",
};

/** The text and how it began; in `sessionStorage`, so that a reload does not lose it. */
function useDraft(topic: string): [string, (text: string) => void, string] {
  const key = `penholder:console:draft:${topic}`;
  const original = demoTopic(topic)?.draft ?? "";
  const [text, setText] = useState(() => sessionStorage.getItem(key) ?? original);
  const change = (next: string) => {
    if (next === original) sessionStorage.removeItem(key);
    else sessionStorage.setItem(key, next);
    setText(next);
  };
  return [text, change, original];
}
