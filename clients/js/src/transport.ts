/** One frame on the socket, as it travels. */
export interface Frame {
  readonly direction: "in" | "out";
  readonly data: string | ArrayBuffer;
  /** In ms since the epoch, by this machine's clock. */
  readonly at: number;
}

/** What the observer of a transport hears. */
export interface TransportObserver {
  frame(frame: Frame): void;
  /** Called before npm `phoenix` hears of the close and schedules its next attempt. */
  closed(event: CloseEvent): void;
}

export type WebSocketClass = new (url: string, protocols?: string | string[]) => WebSocket;

/** Sent in place of 1000 when npm `phoenix` gives up on a silent connection. */
const HEARTBEAT_LOST = 4000;

/**
 * A WebSocket class for npm `phoenix` that lets `observer` see every frame and close.
 *
 * Deviation: `phoenix` closes a connection whose heartbeat went unanswered with 1000. To Penholder
 * 1000 from a client is a goodbye, which would end the sessions at once; any other code keeps them
 * in grace, which is what a connection that is about to be replaced wants.
 */
export function observed(base: WebSocketClass, observer: TransportObserver): WebSocketClass {
  return class ObservedWebSocket extends base {
    constructor(url: string, protocols?: string | string[]) {
      super(url, protocols);
      this.addEventListener("message", (event: MessageEvent) => {
        observer.frame({ direction: "in", data: event.data, at: Date.now() });
      });
      this.addEventListener("close", (event) => observer.closed(event));
    }

    override send(data: Parameters<WebSocket["send"]>[0]): void {
      observer.frame({ direction: "out", data: data as string | ArrayBuffer, at: Date.now() });
      super.send(data);
    }

    override close(code?: number, reason?: string): void {
      if (code === 1000 && reason === "heartbeat timeout") super.close(HEARTBEAT_LOST, reason);
      else super.close(code, reason);
    }
  };
}
