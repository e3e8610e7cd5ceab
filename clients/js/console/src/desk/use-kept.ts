import { useState } from "react";

/** A text that is kept in the tab, so that a reload does not lose it. */
export function useKept(key: string): [string, (text: string) => void] {
  const [text, setText] = useState(() => sessionStorage.getItem(key) ?? "");
  const change = (next: string) => {
    write(key, next);
    setText(next);
  };
  return [text, change];
}

/** As `useKept`, for what is JSON; `blank` where nothing is kept, or what cannot be read. */
export function useKeptJson<T>(key: string, blank: T): [T, (value: T | null) => void] {
  const [text, setText] = useKept(key);
  return [
    parsed<T>(text) ?? blank,
    (value) => setText(value === null ? "" : JSON.stringify(value)),
  ];
}

function parsed<T>(text: string): T | null {
  try {
    return text === "" ? null : (JSON.parse(text) as T);
  } catch {
    return null;
  }
}

function write(key: string, text: string): void {
  try {
    if (text === "") sessionStorage.removeItem(key);
    else sessionStorage.setItem(key, text);
  } catch {
    // No room left in the tab: the text lives as long as the page shows it.
  }
}
