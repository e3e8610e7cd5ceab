import { useEffect, useRef } from "react";
import type { UsePen } from "../../../src/react.tsx";

/** `held`: by somebody who was faster; `unknown`: the server could not say. */
export type Taken = "granted" | "held" | "unknown";

interface TakeOptions {
  /** Whether the server answers. */
  readonly isJoined: boolean;
  /** Whether there is a text for which the pen is wanted. */
  readonly isUnsaved: boolean;
}

/**
 * Takes the pen unless it is the session's already. Who has begun to write while the server was away has not got it: it is
 * taken for them once the server answers, before somebody else begins. Not where somebody has begun already: that of
 * another tab, or of an AI, would be given to whoever asks.
 */
export function useTake(pen: UsePen, { isJoined, isUnsaved }: TakeOptions): () => Promise<Taken> {
  const asking = useRef<Promise<Taken> | null>(null);
  const isOwed = useRef(false);
  const latest = useRef(pen);
  latest.current = pen;
  const take = () => {
    if (latest.current.isMine) return Promise.resolve<Taken>("granted");
    asking.current ??= latest.current.actions
      .acquire({ wait: false })
      .then<Taken, Taken>(
        ({ granted }) => (granted ? "granted" : "held"),
        () => "unknown",
      )
      .then((taken) => {
        isOwed.current = taken === "unknown";
        return taken;
      })
      .finally(() => {
        asking.current = null;
      });
    return asking.current;
  };
  // biome-ignore lint/correctness/useExhaustiveDependencies: that it is joined says when
  useEffect(() => {
    if (isJoined && isUnsaved && isOwed.current && !latest.current.isReadOnly) void take();
    if (!isUnsaved) isOwed.current = false;
  }, [isJoined, isUnsaved]);
  return take;
}
