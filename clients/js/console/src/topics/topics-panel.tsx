import { useMemo } from "react";
import { useSummaries, useSummariesAsOf } from "../../../src/react.tsx";
import { DEMO_TOPICS } from "../demo-topics.ts";
import type { Session } from "../session.ts";
import { OpenTopicForm } from "./open-topic-form.tsx";
import { TopicItem } from "./topic-item.tsx";
import { useFoundTopics } from "./use-found-topics.ts";

interface TopicsPanelProps {
  readonly session: Session;
  readonly openTopic: string | null;
  readonly onOpen: (topic: string) => void;
}

const DEMO: readonly string[] = DEMO_TOPICS.map(({ topic }) => topic);
const NONE: readonly string[] = [];
/** The server's bound on one list of summaries. */
const WATCHED_MAX = 200;

export function TopicsPanel({ session, openTopic, onOpen }: TopicsPanelProps) {
  const found = useFoundTopics(session, openTopic);
  // Who has pasted a token may not be allowed the demo topics.
  const demo = session.isDemo ? DEMO : NONE;
  const others = useMemo(() => {
    const all = new Set([...(openTopic === null ? [] : [openTopic]), ...found]);
    return [...all].filter((topic) => !demo.includes(topic)).sort();
  }, [found, openTopic, demo]);
  // Only what the server itself has named: one topic that may not be viewed refuses the whole list.
  const watched = useMemo(
    () => [...new Set([...demo, ...found])].slice(0, WATCHED_MAX),
    [found, demo],
  );
  const rows = useSummaries(watched);
  const asOf = useSummariesAsOf();
  const item = (topic: string) => (
    <TopicItem
      key={topic}
      topic={topic}
      row={rows.get(topic)}
      asOf={asOf}
      isOpen={topic === openTopic}
    />
  );
  return (
    <nav className="topics" aria-label="Topics">
      <h2 className="eyebrow">Topics</h2>
      {demo.length > 0 && <ul className="topic-list">{demo.map(item)}</ul>}
      {others.length > 0 && (
        <>
          <h2 className="eyebrow">Also in use</h2>
          <ul className="topic-list">{others.map(item)}</ul>
        </>
      )}
      <OpenTopicForm onOpen={onOpen} />
    </nav>
  );
}
