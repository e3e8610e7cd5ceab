import { type RefObject, useEffect } from "react";
import { usePen, usePresence } from "../../../src/react.tsx";
import { labelOf, thingOf, titleOf } from "../demo-topics.ts";
import { tabNames } from "../people.ts";
import { Banner } from "./banner.tsx";
import { Editor } from "./editor.tsx";
import { OwnTabs } from "./own-tabs.tsx";
import { isAsked } from "./pen-strip.tsx";
import { PeopleList } from "./people-list.tsx";
import { Refused } from "./refused.tsx";
import { SessionControls } from "./session-controls.tsx";
import { Snippet } from "./snippet.tsx";
import { useWish } from "./use-wish.ts";

interface TopicPanelProps {
  readonly topic: string;
  readonly heading: RefObject<HTMLHeadingElement | null>;
  readonly onClose: () => void;
}

export function TopicPanel({ topic, heading, onClose }: TopicPanelProps) {
  const [wish, setWish] = useWish(topic);
  const state = usePresence(topic, {
    mode: wish.mode,
    presence: wish.isInvisible ? "receive" : true,
  });
  const pen = usePen(topic);
  const ownTabs = state.self?.sessions ?? [];
  const names = tabNames(ownTabs.map(({ session }) => session));
  const thisTab = names.size > 1 ? (names.get(state.session ?? "") ?? null) : null;
  const asking = isAsked(pen, state) ? `${pen.request?.name} asks for the pen` : null;
  useTitle([asking, thisTab, labelOf(topic), "Penholder"]);
  const title = titleOf(topic);
  const thing = thingOf(topic);

  return (
    <article className="topic" aria-labelledby="topic-title" data-testid="topic-panel">
      <header className="topic-head">
        <div className="topic-heading">
          <p className="eyebrow">{labelOf(topic) === title ? "Topic" : labelOf(topic)}</p>
          <h1 id="topic-title" ref={heading} tabIndex={-1} data-testid="topic-title">
            {title}
          </h1>
          {title !== topic && <code className="muted small">{topic}</code>}
        </div>
        <button type="button" className="button" onClick={onClose} data-testid="close-topic">
          Close {thing}
        </button>
      </header>
      {state.status === "refused" || state.status === "closed" ? (
        <Refused error={state.error} onRetry={state.actions.rejoin} />
      ) : (
        <>
          <SessionControls wish={wish} granted={state.mode} onChange={setWish} />
          <Banner state={state} thing={thing} />
          <div className="topic-columns">
            <div className="topic-people">
              <PeopleList state={state} />
              <OwnTabs sessions={ownTabs} state={state} />
            </div>
            <Editor topic={topic} thing={thing} state={state} pen={pen} />
          </div>
          <Snippet topic={topic} />
        </>
      )}
    </article>
  );
}

/**
 * Names the tab in the browser's tab bar, so that “your tab heron” can be found, and so that a request
 * is seen by a holder who is looking elsewhere.
 */
function useTitle(parts: readonly (string | null)[]) {
  const title = parts.filter((part) => part !== null).join(" · ");
  useEffect(() => {
    document.title = title;
    return () => {
      document.title = "Penholder";
    };
  }, [title]);
}
