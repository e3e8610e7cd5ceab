import { type FormEvent, useState } from "react";
import { topicNameError } from "../../../src/topic-name.ts";

export function OpenTopicForm({ onOpen }: { onOpen: (topic: string) => void }) {
  const [name, setName] = useState("");
  const [error, setError] = useState<string | null>(null);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const problem = topicNameError(name.trim());
    setError(problem);
    if (problem !== null) return;
    onOpen(name.trim());
    setName("");
  };
  const change = (value: string) => {
    setName(value);
    // Shown while typing only once something was refused: nobody likes to be told off early.
    if (error !== null) setError(topicNameError(value.trim()));
  };
  return (
    <form className="open-topic" onSubmit={submit} noValidate>
      <label htmlFor="open-topic">Open any topic</label>
      <div className="field-row">
        <input
          id="open-topic"
          value={name}
          onChange={(event) => change(event.target.value)}
          placeholder="doc:42"
          aria-invalid={error !== null}
          aria-describedby="open-topic-error"
          autoComplete="off"
          autoCapitalize="none"
          spellCheck={false}
          data-testid="open-topic-name"
        />
        <button type="submit" className="button" data-testid="open-topic-submit">
          Open
        </button>
      </div>
      <p
        id="open-topic-error"
        className="field-error"
        aria-live="polite"
        data-testid="open-topic-error"
      >
        {error}
      </p>
    </form>
  );
}
