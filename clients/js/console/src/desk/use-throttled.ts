import { useEffect, useRef, useState } from "react";

/** The newest value, but not a newer one more often than this. */
export function useThrottled<T>(value: T, everyMs: number): T {
  const [shown, setShown] = useState(value);
  const changedAt = useRef(Number.NEGATIVE_INFINITY);
  useEffect(() => {
    if (Object.is(value, shown)) return;
    const change = () => {
      changedAt.current = Date.now();
      setShown(value);
    };
    const timer = setTimeout(change, Math.max(0, changedAt.current + everyMs - Date.now()));
    return () => clearTimeout(timer);
  }, [value, shown, everyMs]);
  return shown;
}
