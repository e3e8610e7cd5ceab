import { useEffect, useState } from "react";
import type { ConnectionState } from "../../../src/index.ts";
import { useConnection } from "../../../src/react.tsx";
import { asOfWords } from "../as-of.ts";

/** How the connection stands, in words, announced when it changes. */
export function ConnectionPill({ onSignIn }: { onSignIn: () => void }) {
  const state = useConnection();
  const seconds = useSecondsUntil(state.retryAt);
  const { lastClose } = state;
  const detail =
    lastClose === null ? undefined : `Last close: ${lastClose.code} ${lastClose.reason}`;
  return (
    <div
      className="pill"
      data-status={state.status}
      data-refused={state.isTokenRefused}
      data-testid="connection"
      title={detail}
    >
      <span className="pill-dot" aria-hidden="true" />
      <span role="status">{describe(state)}</span>
      {state.status === "reconnecting" && (
        <span className="pill-wait">{seconds === null ? "trying…" : `again in ${seconds} s`}</span>
      )}
      {mustSignIn(state) && (
        <button
          type="button"
          className="button link"
          onClick={onSignIn}
          data-testid="sign-in-again"
        >
          Sign in again
        </button>
      )}
    </div>
  );
}

/** Whether the token is at fault, for which there is another only from the person. */
function mustSignIn({ status, problem, isTokenRefused }: ConnectionState): boolean {
  return isTokenRefused || (status === "reconnecting" && problem !== null);
}

/** While it is lost, all that the page shows is as of when the server was heard last. */
function describe(state: ConnectionState): string {
  const { asOf } = state;
  return asOf === null ? standing(state) : `${standing(state)}: shown ${asOfWords(asOf)}`;
}

function standing({ status, problem, serverLeaving }: ConnectionState): string {
  switch (status) {
    case "connected":
      return problem?.replace(/\.$/, "") ?? "Connected";
    case "connecting":
      return "Connecting…";
    case "closed":
      return problem?.replace(/\.$/, "") ?? "Disconnected";
    case "reconnecting":
      if (problem !== null) return problem.replace(/\.$/, "");
      return serverLeaving ? "Server is restarting" : "Reconnecting";
  }
}

/** Whole seconds until `at`, counted down; null when it is past or not set. */
function useSecondsUntil(at: number | null): number | null {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (at === null) return;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 250);
    return () => clearInterval(timer);
  }, [at]);
  if (at === null || at <= now) return null;
  return Math.ceil((at - now) / 1000);
}
