import type { WebSocketClass } from "../src/transport.ts";

/** A frame of the V2 text format. */
export type WireFrame = [
  joinRef: string | null,
  ref: string | null,
  topic: string,
  event: string,
  payload: Record<string, unknown>,
];

/** What a test answers to a push: a reply's status and response, or nothing. */
export type Answer = { status: "ok" | "error"; response: object } | undefined;

/**
 * The server's end of a `WebSocket`, for the unmodified npm `phoenix` to talk to. Connections are
 * accepted and pushes answered in a microtask, so that a test need not wait for a timer.
 */
export class FakeServer {
  readonly received: WireFrame[] = [];
  readonly connections: FakeWebSocket[] = [];
  readonly webSocket: WebSocketClass;
  accepts = true;
  answer: (frame: WireFrame) => Answer = () => ({ status: "ok", response: {} });

  constructor() {
    const server = this;
    this.webSocket = class extends FakeWebSocket {
      constructor(url: string, protocols?: string | string[]) {
        super(server, url, protocols);
      }
    } as unknown as WebSocketClass;
  }

  get connection(): FakeWebSocket {
    const newest = this.connections.at(-1);
    if (newest === undefined) throw new Error("nobody has connected");
    return newest;
  }

  /** Frames received with this event, oldest first. */
  pushes(event: string): WireFrame[] {
    return this.received.filter((frame) => frame[3] === event);
  }

  broadcast(topic: string, event: string, payload: object): void {
    this.connection.deliver([null, null, topic, event, payload as Record<string, unknown>]);
  }
}

export class FakeWebSocket extends EventTarget {
  readyState = 0;
  bufferedAmount = 0;
  binaryType = "blob";
  readonly url: string;
  readonly protocols: string[];
  closedWith: { code: number | undefined; reason: string | undefined } | null = null;
  readonly #server: FakeServer;

  constructor(server: FakeServer, url: string, protocols: string | string[] = []) {
    super();
    this.#server = server;
    this.url = url;
    this.protocols = [protocols].flat();
    server.connections.push(this);
    queueMicrotask(() => {
      if (!server.accepts) return this.end(1006);
      this.readyState = 1;
      this.#emit(new Event("open"));
    });
  }

  send(data: string): void {
    const frame = JSON.parse(data) as WireFrame;
    this.#server.received.push(frame);
    queueMicrotask(() => {
      const answer = this.#server.answer(frame);
      const [joinRef, ref, topic] = frame;
      if (answer !== undefined) this.deliver([joinRef, ref, topic, "phx_reply", { ...answer }]);
    });
  }

  close(code?: number, reason?: string): void {
    this.closedWith = { code, reason };
    this.end(code ?? 1005);
  }

  deliver(frame: WireFrame): void {
    if (this.readyState === 1) {
      this.#emit(new MessageEvent("message", { data: JSON.stringify(frame) }));
    }
  }

  /** Ends the connection from the server's side. */
  end(code: number, reason = ""): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.#emit(Object.assign(new Event("close"), { code, reason, wasClean: code !== 1006 }));
  }

  #emit(event: Event): void {
    // happy-dom's EventTarget calls `onopen` and its kin too.
    this.dispatchEvent(event);
  }
}

/** Lets everything run that waits for no timer. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}
