import type { Frame, PenholderClient } from "../../../src/index.ts";
import { Store } from "../../../src/store.ts";

/** One frame as the list shows it. */
export interface FrameRow {
  readonly id: number;
  readonly direction: Frame["direction"];
  readonly at: number;
  readonly topic: string;
  readonly event: string;
  /** JSON, without tokens. */
  readonly payload: string;
}

export const ROWS_MAX = 500;
/** A burst of frames is one render. */
const BATCH_MS = 60;

/** The last frames of a client, newest last; bounded, and silent while paused. */
export class FrameLog extends Store<readonly FrameRow[]> {
  #waiting: FrameRow[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #nextId = 1;
  #isPaused = false;

  constructor() {
    super([]);
  }

  /** Records the frames of `client` until the answered function is called. */
  record(client: PenholderClient): () => void {
    const stop = client.onFrame((frame) => this.add(frame));
    return () => {
      stop();
      clearTimeout(this.#timer);
      this.#timer = undefined;
    };
  }

  add(frame: Frame): void {
    if (this.#isPaused) return;
    this.#waiting.push({ id: this.#nextId++, ...describeFrame(frame) });
    this.#timer ??= setTimeout(() => this.#flush(), BATCH_MS);
  }

  pause(isPaused: boolean): void {
    this.#flush();
    this.#isPaused = isPaused;
  }

  clear(): void {
    this.#waiting = [];
    this.set([]);
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#waiting.length === 0) return;
    const rows = [...this.getSnapshot(), ...this.#waiting].slice(-ROWS_MAX);
    this.#waiting = [];
    this.set(rows);
  }
}

/** Reads a V2 frame. What is no such frame is shown as it is. */
export function describeFrame({ direction, data, at }: Frame): Omit<FrameRow, "id"> {
  const other = (payload: string) => ({ direction, at, topic: "", event: "binary", payload });
  if (typeof data !== "string") return other(`${data.byteLength} bytes`);
  try {
    const [, , topic, event, payload] = JSON.parse(data) as unknown[];
    return {
      direction,
      at,
      topic: String(topic),
      event: String(event),
      payload: JSON.stringify(payload, hideSecrets),
    };
  } catch {
    return { ...other(data), event: "unreadable" };
  }
}

/** Tokens let their bearer in: they don't belong into something that is copied into an issue. */
function hideSecrets(name: string, value: unknown): unknown {
  return (name === "token" || name === "resume") && typeof value === "string" ? "(hidden)" : value;
}

/** The rows in which `text` occurs, ignoring case. */
export function filterRows(rows: readonly FrameRow[], text: string): readonly FrameRow[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return rows;
  return rows.filter((row) => {
    const content = `${row.direction} ${row.topic} ${row.event} ${row.payload}`.toLowerCase();
    return words.every((word) => content.includes(word));
  });
}

export function rowText({ at, direction, topic, event, payload }: FrameRow): string {
  return `${frameTime(at)} ${direction} ${topic} ${event} ${payload}`;
}

/** `14:02:11.345`. */
export function frameTime(at: number): string {
  const date = new Date(at);
  const two = (n: number) => String(n).padStart(2, "0");
  const ms = String(date.getMilliseconds()).padStart(3, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${ms}`;
}
