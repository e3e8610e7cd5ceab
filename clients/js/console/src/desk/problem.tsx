import { problemWords } from "./words.ts";

interface ProblemProps {
  readonly error: unknown;
  readonly onRetry?: (() => void) | undefined;
  readonly testId?: string;
}

/** What went wrong, where it did; announced, and with a way on. */
export function Problem({ error, onRetry, testId = "problem" }: ProblemProps) {
  return (
    <div role="alert">
      {error !== null && (
        <p className="field-error problem" data-testid={testId}>
          {problemWords(error)}
          {onRetry !== undefined && (
            <button type="button" className="button quiet" onClick={onRetry}>
              Try again
            </button>
          )}
        </p>
      )}
    </div>
  );
}
