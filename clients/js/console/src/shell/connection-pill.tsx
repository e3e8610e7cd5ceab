import { useEffect, useState } from "react";
import type { ConnectionState } from "../../../src/index.ts";
import { useConnection } from "../../../src/react.tsx";

/** How the connection stands, in words, announced when it changes. */
export function ConnectionPill() {
  const state = useConnection();
  const seconds = useSecondsUntil(state.retryAt);
  const { lastClose } = state;
  const detail =
    lastClose === null ? undefined : `Last close: ${lastClose.code} ${lastClose.reason}`;
  return (
    <div className="pill" data-status={state.status} data-testid="connection" title={detail}>
      <span className="pill-dot" aria-hidden="true" />
      <span role="status">{describe(state)}</span>
      {seconds !== null && <span className="pill-wait">again in {seconds} s</span>}
    </div>
  );
}

function describe({ status, problem, serverLeaving }: ConnectionState): string {
  switch (status) {
    case "connected":
      return "Connected";
    case "connecting":
      return "Connecting…";
    case "closed":
      return problem ?? "Disconnected";
    case "reconnecting":
      if (problem !== null) return problem;
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
