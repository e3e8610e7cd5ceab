import { useEffect, useState } from "react";

/** Counts down to `until`, at the end of a sentence. Read aloud once, and not each second. */
export function SecondsLeft({ until }: { until: number }) {
  const [first] = useState(Date.now);
  const [now, setNow] = useState(first);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 250);
    return () => clearInterval(timer);
  }, []);
  return (
    <>
      <span className="seconds" aria-hidden="true" data-testid="seconds-left">
        {secondsFrom(now, until)} s
      </span>
      <span className="visually-hidden"> {secondsFrom(first, until)} seconds.</span>
    </>
  );
}

function secondsFrom(now: number, until: number): number {
  return Math.max(0, Math.ceil((until - now) / 1000));
}
