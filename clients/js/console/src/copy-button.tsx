import { useEffect, useState } from "react";

/** Copies what `text` answers, and says for a moment that it did. */
export function CopyButton({ text, testId }: { text: () => string; testId: string }) {
  const [result, setResult] = useState<"copied" | "refused" | null>(null);
  useEffect(() => {
    if (result === null) return;
    const timer = setTimeout(() => setResult(null), 2000);
    return () => clearTimeout(timer);
  }, [result]);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text());
      setResult("copied");
    } catch {
      setResult("refused");
    }
  };
  return (
    <button type="button" className="button quiet" onClick={copy} data-testid={testId}>
      <span aria-live="polite">
        {result === "copied" ? "Copied" : result === "refused" ? "Not allowed" : "Copy"}
      </span>
    </button>
  );
}
