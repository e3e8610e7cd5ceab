import { useEffect, useRef, useState } from "react";
import type { UsePen, UsePresence } from "../../../src/react.tsx";
import { demoTopic } from "../demo-topics.ts";
import { DraftNotice } from "./draft-notice.tsx";
import { PenStrip } from "./pen-strip.tsx";
import { useDraft } from "./use-draft.ts";
import { useTake } from "./use-take.ts";

interface EditorProps {
  readonly topic: string;
  readonly thing: string;
  readonly state: UsePresence;
  readonly pen: UsePen;
}

/**
 * A text that stands in for the application's editor: it drives activity and `unsaved`, and takes the
 * pen at the first key stroke.
 */
export function Editor({ topic, thing, state, pen }: EditorProps) {
  const { actions } = state;
  const [text, setText, original] = useText(topic);
  const [hasFocus, setFocus] = useState(false);
  const { isReadOnly } = pen;
  const field = useRef<HTMLTextAreaElement>(null);
  const { draft, keep, replace } = useDraft({
    ...{ state, pen, text, original },
    onKept: () => setText(original),
  });
  const isUnsaved = text !== original;
  const take = useTake(pen, { isJoined: state.status === "joined", isUnsaved });
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
    void take().then((taken) => (taken === "held" ? keep() : undefined));
  };
  // The buttons of the notice may go with it, and the keyboard's place in the page with them.
  const replaceDraft = (by: string) => {
    replace(by);
    field.current?.focus();
  };
  const restore = async () => {
    if (draft === null || (await take()) !== "granted") return;
    setText(draft.text);
    // What was written meanwhile changes places with it, so that nothing is lost.
    replaceDraft(isUnsaved ? text : "");
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
            onClick={() => {
              setText(original);
              field.current?.focus();
            }}
            data-testid="discard"
          >
            Discard changes
          </button>
        )}
      </div>
      <PenStrip state={state} pen={pen} />
      <DraftNotice
        draft={draft}
        canRestore={!isReadOnly}
        onRestore={() => void restore()}
        onDiscard={() => replaceDraft("")}
      />
      <textarea
        id="document"
        ref={field}
        value={text}
        onChange={(event) => change(event.target.value)}
        onFocus={() => setFocus(true)}
        onBlur={() => setFocus(false)}
        readOnly={isReadOnly}
        aria-describedby="pen-text document-note"
        rows={10}
        data-testid="document"
      />
      <p id="document-note" className="muted small">
        Edit priority advises who goes first; the pen decides, for one session at a time, who may
        write. This text stays in this tab: saving belongs to your application.
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
function useText(topic: string): [string, (text: string) => void, string] {
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
