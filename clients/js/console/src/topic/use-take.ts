import { useRef } from "react";
import type { UsePen } from "../../../src/react.tsx";

/** `held`: by somebody who was faster; `unknown`: the server could not say. */
export type Taken = "granted" | "held" | "unknown";

/** Takes the pen unless it is the session's already. */
export function useTake(pen: UsePen): () => Promise<Taken> {
  const asking = useRef<Promise<Taken> | null>(null);
  const latest = useRef(pen);
  latest.current = pen;
  return () => {
    if (latest.current.isMine) return Promise.resolve("granted");
    asking.current ??= latest.current.actions
      .acquire({ wait: false })
      .then<Taken, Taken>(
        ({ granted }) => (granted ? "granted" : "held"),
        () => "unknown",
      )
      .finally(() => {
        asking.current = null;
      });
    return asking.current;
  };
}
