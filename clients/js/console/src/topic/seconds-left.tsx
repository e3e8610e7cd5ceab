import { useEffect, useState } from "react";

/** Counts down to `until`. Not read aloud: what it counts down to is said in words beside it. */
export function SecondsLeft({ until }: { until: number }) {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 250);
    return () => clearInterval(timer);
  }, []);
  const seconds = Math.max(0, Math.ceil((until - now) / 1000));
  return (
    <span className="seconds" aria-hidden="true" data-testid="seconds-left">
      {seconds} s
    </span>
  );
}
