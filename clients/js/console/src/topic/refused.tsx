import type { PenholderError } from "../../../src/index.ts";

/** Instead of the topic, when the server keeps it closed. */
export function Refused({ error, onRetry }: { error: PenholderError | null; onRetry: () => void }) {
  return (
    <div className="notice" role="alert" data-testid="refused">
      <p>
        <strong>{error === null ? "The server closed this topic for you." : error.message}</strong>
      </p>
      {error !== null && <p className="muted small">Code: {error.code}</p>}
      <button type="button" className="button" onClick={onRetry}>
        Try again
      </button>
    </div>
  );
}
