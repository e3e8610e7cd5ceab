import { useEffect, useRef } from "react";
import { topicNameError } from "../../src/topic-name.ts";
import { EventTail } from "./frames/event-tail.tsx";
import { navigate, topicHref } from "./route.ts";
import type { Session } from "./session.ts";
import { TopicPanel } from "./topic/topic-panel.tsx";
import { WelcomePanel } from "./topic/welcome-panel.tsx";
import { TopicsPanel } from "./topics/topics-panel.tsx";

const openTopic = (topic: string | null) => navigate(topicHref(topic));

/** Any topic, of this server's applications too: who is there, and who may edit. */
export function Workspace({ session, asked }: { session: Session; asked: string | null }) {
  const topic = asked !== null && topicNameError(asked) === null ? asked : null;
  const { heading, main } = useFocusOnOpen(topic);
  return (
    <div className="workspace" data-open={topic !== null}>
      <TopicsPanel session={session} openTopic={topic} onOpen={openTopic} />
      <main id="main" className="main" ref={main} tabIndex={-1}>
        {topic === null ? (
          <WelcomePanel invalid={asked} />
        ) : (
          <TopicPanel key={topic} topic={topic} heading={heading} onClose={() => openTopic(null)} />
        )}
        <EventTail client={session.client} />
      </main>
    </div>
  );
}

/**
 * Moves the focus to the heading of a topic that was opened here, and to what took its place when
 * it was closed. What was there at load is left alone.
 */
function useFocusOnOpen(topic: string | null) {
  const heading = useRef<HTMLHeadingElement>(null);
  const main = useRef<HTMLElement>(null);
  const shown = useRef(topic);
  useEffect(() => {
    if (topic !== shown.current) (heading.current ?? main.current)?.focus();
    shown.current = topic;
  }, [topic]);
  return { heading, main };
}
