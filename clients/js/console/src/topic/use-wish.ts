import { useState } from "react";
import type { Mode } from "../../../src/index.ts";

/** How the person wants to be on a topic. */
export interface Wish {
  readonly mode: Mode;
  readonly isInvisible: boolean;
}

const DEFAULT: Wish = { mode: "edit", isInvisible: false };

/** What is stored may be of another version of this page. */
function parse(saved: string): Wish {
  try {
    const { mode, isInvisible } = JSON.parse(saved) as Partial<Wish>;
    return { mode: mode === "view" ? "view" : "edit", isInvisible: isInvisible === true };
  } catch {
    return DEFAULT;
  }
}

/** Kept per tab and topic, so that a reload asks for the session it resumes. */
export function useWish(topic: string): [Wish, (wish: Wish) => void] {
  const key = `penholder:console:wish:${topic}`;
  const [wish, setWish] = useState<Wish>(() => {
    const saved = sessionStorage.getItem(key);
    return saved === null ? DEFAULT : parse(saved);
  });
  const change = (next: Wish) => {
    sessionStorage.setItem(key, JSON.stringify(next));
    setWish(next);
  };
  return [wish, change];
}
