// A socket without any client library: frames as they are, and handshakes that fail.

import { once } from "node:events";
import { request } from "node:http";
import WebSocket from "ws";
import { look } from "./canary.js";
import { soon, until } from "./wait.js";

export class RawSocket {
  /** Text frames as strings, binary ones as Buffers. */
  frames = [];
  #taken = 0;

  /** Opens a socket; `vsn: null` asks for none. */
  static async open(
    server,
    { token, vsn = "2.0.0", query = {}, protocols, headers, ...more } = {},
  ) {
    const parameters = new URLSearchParams(query);
    if (token) parameters.set("token", token);
    if (vsn !== null) parameters.set("vsn", vsn);
    const url = `${server.ws}/websocket?${parameters}`;
    const raw = new RawSocket(new WebSocket(url, protocols, { headers, ...more }), token);
    await soon("the socket opens", once(raw.socket, "open"));
    return raw;
  }

  constructor(socket, token) {
    this.socket = socket;
    this.socket.on("message", (data, isBinary) => {
      look(token, data);
      this.frames.push(isBinary ? data : data.toString());
    });
    this.closed = new Promise((resolve) => {
      this.socket.on("close", (code, reason) => resolve({ code, reason: reason.toString() }));
    });
  }

  /** Sends text as it is, a Buffer as a binary frame, anything else as JSON. */
  send(frame) {
    const isRaw = typeof frame === "string" || Buffer.isBuffer(frame);
    this.socket.send(isRaw ? frame : JSON.stringify(frame));
  }

  /** Takes the next frame that nobody has taken, whatever it is. */
  async frame() {
    await until("another frame", () => this.frames.length > this.#taken);
    this.#taken += 1;
    return this.frames[this.#taken - 1];
  }

  /** Takes frames up to the first text frame that fits, and returns that, parsed. */
  async until(what, fits) {
    for (;;) {
      const frame = await soon(`${what}, after ${this.frames.slice(-5)}`, this.frame());
      if (Buffer.isBuffer(frame)) continue;
      const parsed = JSON.parse(frame);
      if (fits(parsed)) return parsed;
    }
  }

  /**
   * Takes frames up to the reply to `ref`, and returns its payload. It may have been taken already:
   * replies of the socket itself overtake those of a channel. V2 only.
   */
  async reply(ref) {
    const isReply = (frame) => {
      if (Buffer.isBuffer(frame)) return false;
      const [, to, , event] = JSON.parse(frame);
      return event === "phx_reply" && to === ref;
    };
    await until(`reply to ${ref}, after ${this.frames.slice(-5)}`, () => this.frames.some(isReply));
    const at = this.frames.findIndex(isReply);
    this.#taken = Math.max(this.#taken, at + 1);
    return JSON.parse(this.frames[at])[4];
  }

  /** Takes frames up to one of this event, and returns its payload. V2 only. */
  async event(name) {
    return (await this.until(name, ([, , , event]) => event === name))[4];
  }

  /** Sends a frame and takes its reply. V2 only. */
  ask(frame) {
    this.send(frame);
    return this.reply(frame[1]);
  }

  /** Waits until the server has closed the socket, and returns `{ code, reason }`. */
  ended(withinMs) {
    return soon("the server closes the socket", this.closed, withinMs);
  }

  terminate() {
    this.socket.terminate();
  }
}

/**
 * Asks for an upgrade with headers exactly as given, `[name, value]` pairs and repeats included.
 * Returns `{ status, headers, body }`; an upgraded connection is dropped at once.
 */
export async function handshake(server, { path = "/socket/websocket?vsn=2.0.0", headers = [] }) {
  const upgrade = [
    ["Host", `127.0.0.1:${server.port}`],
    ["Connection", "Upgrade"],
    ["Upgrade", "websocket"],
    ["Sec-WebSocket-Version", "13"],
    ["Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="],
  ];
  const outgoing = request(server.http + path, { headers: [...upgrade, ...headers].flat() });
  outgoing.end();
  const answer = Promise.race([
    once(outgoing, "response").then(async ([response]) => {
      const chunks = await response.toArray();
      return { response, body: Buffer.concat(chunks).toString() };
    }),
    once(outgoing, "upgrade").then(([response, socket]) => {
      socket.destroy();
      return { response, body: "" };
    }),
  ]);
  const { response, body } = await soon("answer to the handshake", answer);
  return { status: response.statusCode, headers: response.headers, body };
}
