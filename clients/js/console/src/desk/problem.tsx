import { useEffect, useState } from "react";
import { TicketsError } from "../../../src/index.ts";
import { useConnection } from "../../../src/react.tsx";
import { problemWords } from "./words.ts";

interface ProblemProps {
  readonly error: unknown;
  readonly onRetry?: (() => void) | undefined;
  readonly testId?: string;
}

/** What went wrong, where it did; announced, and with a way on. */
export function Problem({ error, onRetry, testId = "problem" }: ProblemProps) {
  const standing = useStanding(error, onRetry);
  return (
    <div role="alert">
      {standing !== null && (
        <div className="problem" data-testid={testId}>
          <p className="field-error">{problemWords(standing)}</p>
          {onRetry !== undefined && (
            <button type="button" className="button small-button" onClick={onRetry}>
              Try again
            </button>
          )}
        </div>
      )}
    </div>
  );
}

const EVERY_MS = 1000;

/** An error for as long as it holds: that the server cannot be reached is over once it can. */
function useStanding(error: unknown, onRetry?: () => void): unknown {
  const { status } = useConnection();
  const [over, setOver] = useState<unknown>(null);
  const [attempt, setAttempt] = useState(0);
  const isAway = isUnreachable(error) && error !== over;
  // biome-ignore lint/correctness/useExhaustiveDependencies: a change of the connection and each attempt ask again
  useEffect(() => {
    if (!isAway) return;
    const stop = new AbortController();
    const ask = async () => {
      const { signal } = stop;
      const answer = await fetch("/healthz", { signal, cache: "no-store" }).catch(() => null);
      if (signal.aborted) return;
      if (answer?.ok !== true) return setAttempt((n) => n + 1);
      setOver(error);
      onRetry?.();
    };
    const timer = setTimeout(() => void ask(), EVERY_MS);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [isAway, error, status, attempt]);
  return error === over ? null : error;
}

function isUnreachable(error: unknown): boolean {
  return error instanceof TicketsError && error.code === "unreachable";
}
