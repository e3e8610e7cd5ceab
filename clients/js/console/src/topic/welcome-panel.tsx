import { topicNameError } from "../../../src/topic-name.ts";

export function WelcomePanel({ invalid }: { invalid: string | null }) {
  return (
    <section className="welcome" data-testid="welcome">
      <h1>Open a topic</h1>
      {invalid !== null && (
        <p className="field-error" role="alert">
          “{invalid}” is not a topic. {topicNameError(invalid)}
        </p>
      )}
      <p className="lead">
        Choose one from the list, then open this page in a second window, sign in as somebody else,
        and choose the same one.
      </p>
      <ol className="steps">
        <li>Each sees the other arrive, with what they do.</li>
        <li>Who came first may edit; the other is told so.</li>
        <li>When the first closes the editor, the next one's opens.</li>
      </ol>
    </section>
  );
}
