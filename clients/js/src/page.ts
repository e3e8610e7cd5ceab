/** What the client needs to know about the page around it. Outside a browser nothing happens. */
export interface PageObserver {
  /** A real key press, pointer move, touch or wheel. */
  input(): void;
  visible(isVisible: boolean): void;
  /** The page is going away, perhaps to be reloaded. */
  hide(): void;
  /** The page came back from the browser's back-forward cache with its memory. */
  restore(): void;
}

const INPUT_EVENTS = ["keydown", "pointerdown", "pointermove", "wheel", "touchstart"] as const;

export function isPageVisible(): boolean {
  return globalThis.document?.visibilityState !== "hidden";
}

/** Watches until the function that it answers is called. */
export function watchPage(observer: PageObserver): () => void {
  if (globalThis.window === undefined) return () => undefined;
  const stop = new AbortController();
  const options = { signal: stop.signal, capture: true, passive: true };
  const onInput = (event: Event) => {
    // A script that scrolls or clicks is not a person at work.
    if (event.isTrusted) observer.input();
  };
  for (const name of INPUT_EVENTS) window.addEventListener(name, onInput, options);
  document.addEventListener("visibilitychange", () => observer.visible(isPageVisible()), options);
  window.addEventListener("pagehide", () => observer.hide(), options);
  window.addEventListener(
    "pageshow",
    (event) => {
      if (event.persisted) observer.restore();
    },
    options,
  );
  return () => stop.abort();
}
