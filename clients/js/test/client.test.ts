import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { connect, type PenholderClient } from "../src/index.ts";
import { FakeServer, settle, type WireFrame } from "./fake-server.ts";
import { joinReply, meta, person, summary, token } from "./fixtures.ts";

let server: FakeServer;
let client: PenholderClient;
/** The status that the server answers a request over HTTP with; null: it cannot be reached. */
let answered: (token: string) => number | null;

const fakeFetch: typeof fetch = async (_url, init) => {
  const authorization = new Headers(init?.headers).get("authorization") ?? "";
  const status = answered(authorization.replace("Bearer ", ""));
  if (status === null) throw new TypeError("Failed to fetch");
  return Response.json({ code: "invalid_token", message: "No." }, { status });
};

beforeEach(() => {
  vi.useFakeTimers();
  answered = () => null;
  sessionStorage.clear();
  server = new FakeServer();
  server.answer = ([, , , event]) => ({
    status: "ok",
    response: event === "phx_join" ? joinReply("ada") : {},
  });
});

afterEach(() => {
  client.disconnect();
  vi.useRealTimers();
});

async function start(options: Partial<Parameters<typeof connect>[0]> = {}) {
  client = connect({
    url: "https://presence.test",
    token: token("ada"),
    webSocket: server.webSocket,
    fetch: fakeFetch,
    ...options,
  });
  await settle();
}

async function join(topic = "doc:1", options = {}) {
  const session = client.topic(topic, options);
  await settle();
  return session;
}

describe("connecting", () => {
  test("goes to the socket of the url with the token in the subprotocol", async () => {
    await start({ token: async () => token("ada") });
    const { url, protocols } = server.connection;
    expect(url).toBe("wss://presence.test/socket/websocket?vsn=2.0.0");
    expect(protocols[0]).toBe("phoenix");
    expect(atob(protocols[1]?.replace("base64url.bearer.phx.", "") ?? "")).toBe(token("ada"));
    expect(client.connection.getSnapshot().status).toBe("connected");
  });

  test("waits as long as the server wishes, and says so", async () => {
    await start();
    server.connection.end(1012, JSON.stringify({ code: "restart", reconnect_after_ms: 4000 }));
    expect(client.connection.getSnapshot()).toMatchObject({
      status: "reconnecting",
      serverLeaving: true,
      retryAt: Date.now() + 4000,
      lastClose: { code: 1012, reason: "restart" },
    });
    await vi.advanceTimersByTimeAsync(3900);
    expect(server.connections).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(200);
    expect(client.connection.getSnapshot()).toMatchObject({ status: "connected", retryAt: null });
  });

  test("fetches another token when the old one was refused", async () => {
    const fetchToken = vi.fn(async () => token("ada"));
    await start({ token: fetchToken });
    server.connection.end(4401);
    await vi.advanceTimersByTimeAsync(1000);
    expect(fetchToken).toHaveBeenCalledTimes(2);
    expect(client.connection.getSnapshot().status).toBe("connected");
  });

  test("asks for a token now and then while it can't connect, not at every attempt", async () => {
    const fetchToken = vi.fn(async () => token("ada"));
    server.accepts = false;
    await start({ token: fetchToken });
    await vi.advanceTimersByTimeAsync(59_000);
    expect(server.connections.length).toBeGreaterThan(10);
    expect(fetchToken.mock.calls.length).toBeLessThanOrEqual(3);
  });

  test("says that the only token has expired, and tries on: a clock may be wrong", async () => {
    server.accepts = false;
    await start({ token: token("ada", -1000) });
    expect(client.connection.getSnapshot()).toMatchObject({
      status: "reconnecting",
      problem: "The token has expired.",
    });
    server.accepts = true;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(client.connection.getSnapshot()).toMatchObject({ status: "connected", problem: null });
  });

  test("says that its token is refused once a reconnect is, and no more when it is accepted", async () => {
    await start();
    server.accepts = false;
    server.connection.end(1006);
    await vi.advanceTimersByTimeAsync(10_000);
    // A server that is away is not one that refuses.
    const away = { status: "reconnecting", isTokenRefused: false, problem: null };
    expect(client.connection.getSnapshot()).toMatchObject(away);
    answered = () => 401;
    await vi.advanceTimersByTimeAsync(10_000);
    const refused = { isTokenRefused: true, problem: "The token is not accepted any more." };
    expect(client.connection.getSnapshot()).toMatchObject({ status: "reconnecting", ...refused });
    server.accepts = true;
    await vi.advanceTimersByTimeAsync(10_000);
    const accepted = { status: "connected", isTokenRefused: false, problem: null };
    expect(client.connection.getSnapshot()).toMatchObject(accepted);
  });

  test("says so while it is connected, when a request over HTTP is refused", async () => {
    await start();
    answered = () => 401;
    await expect(client.tickets.stats()).rejects.toMatchObject({ status: 401 });
    const { problem, ...state } = client.connection.getSnapshot();
    expect(state).toMatchObject({ status: "connected", isTokenRefused: true });
    expect(problem).toBe("The token is not accepted any more.");
    answered = () => 503;
    await expect(client.tickets.stats()).rejects.toMatchObject({ status: 503 });
    expect(client.connection.getSnapshot().isTokenRefused).toBe(true);
    answered = () => 200;
    await client.tickets.stats();
    expect(client.connection.getSnapshot()).toMatchObject({ isTokenRefused: false, problem: null });
  });

  test("takes another token before it says so, where there is one", async () => {
    let count = 0;
    const fetchToken = vi.fn(async () => token(`ada-${++count}`));
    await start({ token: fetchToken });
    const wasRefused = vi.fn();
    client.connection.subscribe(() => {
      if (client.connection.getSnapshot().isTokenRefused) wasRefused();
    });
    answered = (sent) => (sent === token("ada-1") ? 401 : 200);
    await client.tickets.stats();
    expect(fetchToken).toHaveBeenCalledTimes(2);
    expect(wasRefused).not.toHaveBeenCalled();
    // None is accepted.
    answered = () => 401;
    await expect(client.tickets.stats()).rejects.toMatchObject({ status: 401 });
    expect(fetchToken).toHaveBeenCalledTimes(3);
    expect(client.connection.getSnapshot().isTokenRefused).toBe(true);
  });

  test("says so of a function that has but one token", async () => {
    const only = token("ada");
    await start({ token: () => only });
    answered = () => 401;
    await expect(client.tickets.stats()).rejects.toMatchObject({ status: 401 });
    expect(client.connection.getSnapshot().isTokenRefused).toBe(true);
  });

  test("gives up when it is refused for good", async () => {
    await start();
    server.connection.end(4403);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(server.connections).toHaveLength(1);
    expect(client.connection.getSnapshot()).toMatchObject({ status: "closed", retryAt: null });
  });

  test("tries again when the token function fails", async () => {
    const fetchToken = vi.fn().mockRejectedValueOnce(new Error("offline")).mockResolvedValue("t");
    await start({ token: fetchToken });
    expect(client.connection.getSnapshot().problem).toContain("offline");
    await vi.advanceTimersByTimeAsync(1000);
    expect(client.connection.getSnapshot()).toMatchObject({ status: "connected", problem: null });
  });

  test("comes back while the tab is hidden", async () => {
    await start();
    vi.spyOn(document, "visibilityState", "get").mockReturnValue("hidden");
    server.connection.end(1006);
    await vi.advanceTimersByTimeAsync(3000);
    expect(server.connections).toHaveLength(2);
    expect(client.connection.getSnapshot().status).toBe("connected");
  });

  test("says goodbye with 1000 when told to, but not when a heartbeat is lost", async () => {
    await start();
    server.answer = () => undefined;
    await vi.advanceTimersByTimeAsync(61_000);
    expect(server.connections[0]?.closedWith?.code).toBe(4000);
    await vi.advanceTimersByTimeAsync(5000);
    client.disconnect();
    await vi.advanceTimersByTimeAsync(1000);
    expect(server.connection.closedWith?.code).toBe(1000);
  });
});

describe("a topic", () => {
  test("joins with what was asked and tells what was granted", async () => {
    await start();
    const session = await join("doc:1", { mode: "edit", meta: { color: "red" } });
    expect(server.pushes("phx_join")[0]?.[4]).toEqual({ mode: "edit", meta: { color: "red" } });
    expect(session.getSnapshot()).toMatchObject({
      status: "joined",
      session: "ada-1",
      key: "ada",
      mode: "edit",
    });
  });

  test("folds presence and says who is first", async () => {
    await start();
    const session = await join();
    server.broadcast("doc:1", "presence_state", {
      bruno: { metas: [meta("bruno", { joined_at: 500 })] },
      ada: { metas: [meta("ada")] },
    });
    server.broadcast("doc:1", "presence_summary", summary([person("bruno"), person("ada")]));
    const state = session.getSnapshot();
    expect(state.members.map(({ key }) => key)).toEqual(["bruno", "ada"]);
    expect(state.self?.key).toBe("ada");
    expect(state.priority).toMatchObject({ hasPriority: false, isReadOnly: true });
    server.broadcast("doc:1", "presence_summary", summary([person("ada")]));
    expect(session.getSnapshot().priority.hasPriority).toBe(true);
    expect(session.getSnapshot().members).toBe(state.members);
  });

  test("finds the viewer in a crowd of which only a part is shown", async () => {
    await start();
    const session = await join();
    server.broadcast("doc:1", "presence_state", {
      first: { metas: [meta("first", { joined_at: 1 })] },
      ada: { metas: [meta("ada", { joined_at: 900 })] },
    });
    const crowd = summary([person("first"), person("ada")], { count: 300, full: false });
    server.broadcast("doc:1", "presence_summary", crowd);
    const { self, summary: shown, priority } = session.getSnapshot();
    expect(self?.sessions[0]?.session).toBe("ada-1");
    expect(shown).toMatchObject({ count: 300, full: false });
    expect(priority.prior?.key).toBe("first");
  });

  test("holds early diffs back until the snapshot is there", async () => {
    await start();
    const session = await join();
    const bruno = meta("bruno", { joined_at: 2000 });
    server.broadcast("doc:1", "presence_diff", {
      joins: { bruno: { metas: [bruno] } },
      leaves: {},
    });
    expect(session.getSnapshot().members).toEqual([]);
    server.broadcast("doc:1", "presence_state", { ada: { metas: [meta("ada")] } });
    expect(session.getSnapshot().members.map(({ key }) => key)).toEqual(["ada", "bruno"]);
  });

  test("rejoins after a loss with the newest resume token and the last seq", async () => {
    await start();
    const session = await join();
    server.broadcast("doc:1", "ticket_changed", { seq: 7 });
    server.broadcast("doc:1", "presence_state", { ada: { metas: [meta("ada")] } });
    server.connection.end(1006);
    expect(session.getSnapshot()).toMatchObject({ status: "reconnecting" });
    expect(session.getSnapshot().members).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1000);
    expect(server.pushes("phx_join")[1]?.[4]).toEqual({ resume: "resume-ada-1", since: 7 });
    expect(session.getSnapshot().status).toBe("joined");
  });

  test("says as of when it knows what it knows, until all of it has come again", async () => {
    await start();
    const session = await join();
    expect(session.getSnapshot().asOf).toBeNull();
    server.broadcast("doc:1", "presence_state", { ada: { metas: [meta("ada")] } });
    const { members } = session.getSnapshot();
    const heardAt = Date.now();
    await vi.advanceTimersByTimeAsync(20_000);
    server.accepts = false;
    server.connection.end(1006);
    // Heard, not lost: a dead line is noticed late.
    expect(session.getSnapshot()).toMatchObject({ status: "reconnecting", asOf: heardAt });
    expect(client.connection.getSnapshot().asOf).toBe(heardAt);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(session.getSnapshot().asOf).toBe(heardAt);
    server.accepts = true;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(session.getSnapshot()).toMatchObject({ status: "joined", asOf: heardAt });
    expect(client.connection.getSnapshot().asOf).toBeNull();
    // Lost again before the snapshot has come: still of then.
    server.connection.end(1006);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(session.getSnapshot()).toMatchObject({ status: "joined", asOf: heardAt });
    server.broadcast("doc:1", "presence_state", {
      ada: { metas: [members[0]?.sessions[0] ?? meta("ada")] },
    });
    expect(session.getSnapshot().asOf).toBeNull();
    expect(session.getSnapshot().members).toBe(members);
  });

  test("does not take away who was here before those who lost the server with it are back", async () => {
    await start();
    const session = await join();
    const [ada, bruno] = [meta("ada"), meta("bruno", { joined_at: 2000 })];
    const all = { ada: { metas: [ada] }, bruno: { metas: [bruno] } };
    const keys = () => session.getSnapshot().members.map(({ key }) => key);
    const reconnect = async () => {
      server.connection.end(1006);
      await vi.advanceTimersByTimeAsync(1000);
      server.broadcast("doc:1", "presence_state", { ada: { metas: [ada] } });
      expect(session.getSnapshot().asOf).not.toBeNull();
      expect(keys()).toEqual(["ada", "bruno"]);
    };
    server.broadcast("doc:1", "presence_state", all);
    await reconnect();
    const mei = meta("mei", { joined_at: 3000 });
    server.broadcast("doc:1", "presence_diff", { joins: { mei: { metas: [mei] } }, leaves: {} });
    expect(keys()).toEqual(["ada", "bruno", "mei"]);
    expect(session.getSnapshot().asOf).not.toBeNull();
    // Who is here again is here now, whoever is still missing.
    expect([...session.getSnapshot().missing]).toEqual(["bruno"]);
    const back = { bruno: { metas: [meta("bruno", { joined_at: 2000 })] } };
    server.broadcast("doc:1", "presence_diff", { joins: back, leaves: {} });
    expect(session.getSnapshot()).toMatchObject({ asOf: null, missing: new Set() });
    expect(keys()).toEqual(["ada", "bruno", "mei"]);

    // Lost again in between, nothing is forgotten; who does not come back has left.
    const left = { joins: {}, leaves: { mei: { metas: [mei] } } };
    server.broadcast("doc:1", "presence_diff", left);
    await reconnect();
    await reconnect();
    await vi.advanceTimersByTimeAsync(5000);
    expect(session.getSnapshot().asOf).toBeNull();
    expect(keys()).toEqual(["ada"]);
  });

  test("shows nobody who was here again and has left, and waits no longer for the others", async () => {
    await start();
    const session = await join();
    const [ada, bruno, mei] = [meta("ada"), meta("bruno"), meta("mei", { joined_at: 3000 })];
    const keys = () => session.getSnapshot().members.map(({ key }) => key);
    const state = (...metas: (typeof ada)[]) =>
      server.broadcast(
        "doc:1",
        "presence_state",
        Object.fromEntries(metas.map((it) => [it.user.id, { metas: [it] }])),
      );
    state(ada, bruno, mei);
    server.connection.end(1006);
    await vi.advanceTimersByTimeAsync(1000);
    state(ada, bruno);
    expect(keys()).toEqual(["ada", "bruno", "mei"]);
    const left = { joins: {}, leaves: { bruno: { metas: [bruno] } } };
    server.broadcast("doc:1", "presence_diff", left);
    expect(keys()).toEqual(["ada", "mei"]);

    // The whole list may come again at any time.
    await vi.advanceTimersByTimeAsync(3000);
    state(ada);
    expect(keys()).toEqual(["ada", "mei"]);
    await vi.advanceTimersByTimeAsync(2000);
    expect(keys()).toEqual(["ada"]);
    expect(session.getSnapshot().asOf).toBeNull();
  });

  test("is of now at once where presence was not asked for, and of no time before it was joined", async () => {
    server.accepts = false;
    await start();
    const session = await join("doc:1", { presence: false });
    server.connection.end(1006);
    expect(session.getSnapshot().asOf).toBeNull();
    expect(client.connection.getSnapshot()).toMatchObject({ status: "reconnecting", asOf: null });
    server.accepts = true;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(session.getSnapshot()).toMatchObject({ status: "joined", asOf: null });
    server.connection.end(1006);
    expect(session.getSnapshot().asOf).not.toBeNull();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(session.getSnapshot()).toMatchObject({ status: "joined", asOf: null });
  });

  test("that the server has closed is as of then", async () => {
    await start();
    const session = await join();
    const heardAt = Date.now();
    const joinRef = server.pushes("phx_join")[0]?.[0] ?? null;
    server.connection.deliver([joinRef, null, "doc:1", "phx_close", {}]);
    expect(session.getSnapshot()).toMatchObject({ status: "closed", asOf: heardAt });
  });

  test("states its activity anew to a session it resumed, and the default to none", async () => {
    await start();
    const session = await join();
    expect(server.pushes("presence_update")).toHaveLength(0);
    session.update({ activity: "editing", unsaved: true });
    session.update({ activity: "editing" });
    await vi.advanceTimersByTimeAsync(1000);
    expect(server.pushes("presence_update")).toHaveLength(1);
    server.connection.end(1006);
    await vi.advanceTimersByTimeAsync(1000);
    expect(server.pushes("presence_update")[1]?.[4]).toEqual({
      activity: "editing",
      unsaved: true,
      visible: true,
    });
  });

  test("continues over a reload of the page, and only once", async () => {
    await start();
    await join();
    dispatchEvent(new Event("pagehide"));
    await start();
    await join();
    expect(server.pushes("phx_join")[1]?.[4]).toEqual({ resume: "resume-ada-1" });
    expect(sessionStorage.length).toBe(0);
  });

  test("is shared by all who use it, and left once, when the last has gone", async () => {
    await start();
    const first = await join();
    const second = await join();
    first.leave();
    first.leave();
    await settle();
    expect(server.pushes("phx_leave")).toHaveLength(0);
    second.leave();
    await settle();
    expect(server.pushes("phx_join")).toHaveLength(1);
    expect(server.pushes("phx_leave")).toHaveLength(1);
    expect(client.peek("doc:1")).toBeNull();
  });

  test("is not left when another takes over in the same turn", async () => {
    await start();
    (await join()).leave();
    await join();
    expect(server.pushes("phx_leave")).toHaveLength(0);
  });

  test("begins a new session for another mode: the place in line is not kept", async () => {
    await start();
    const session = await join("doc:1", { mode: "view" });
    session.configure({ mode: "edit" });
    await settle();
    const events = server.received.map((frame: WireFrame) => frame[3]);
    expect(events).toEqual(["phx_join", "phx_leave", "phx_join"]);
    expect(server.received[2]?.[4]).toEqual({ mode: "edit", since: 0 });
    expect(session.getSnapshot().status).toBe("joined");
  });

  test("gives up a refusal that is final, and can be asked again", async () => {
    server.answer = () => ({
      status: "error",
      response: { reason: "unauthorized", code: "not_authorized", message: "No." },
    });
    await start();
    const session = await join("secret:1");
    expect(session.getSnapshot()).toMatchObject({ status: "refused", error: { message: "No." } });
    await vi.advanceTimersByTimeAsync(30_000);
    expect(server.pushes("phx_join")).toHaveLength(1);
    session.rejoin();
    await settle();
    expect(server.pushes("phx_join")).toHaveLength(2);
  });

  test("goes on trying after a refusal that may pass", async () => {
    server.answer = () => ({
      status: "error",
      response: { reason: "unavailable", code: "unavailable", message: "Later." },
    });
    await start();
    const session = await join();
    expect(session.getSnapshot()).toMatchObject({
      status: "joining",
      error: { code: "unavailable" },
    });
    server.answer = () => ({ status: "ok", response: joinReply("ada") });
    await vi.advanceTimersByTimeAsync(1500);
    expect(session.getSnapshot()).toMatchObject({ status: "joined", error: null });
  });

  test("keeps quiet where the session may not speak", async () => {
    server.answer = ([, , , event]) => ({
      status: "ok",
      response: event === "phx_join" ? joinReply("ada", { mode: "view" }) : {},
    });
    await start();
    const viewing = await join("doc:1");
    viewing.typing(true);
    const unseen = await join("doc:2", { presence: "receive" });
    unseen.update({ activity: "editing" });
    await vi.advanceTimersByTimeAsync(1000);
    expect(server.pushes("typing")).toHaveLength(0);
    expect(server.pushes("presence_update")).toHaveLength(0);
  });

  test("tells when the tab is hidden and shown, and nothing of what a script clicks", async () => {
    await start();
    await join();
    const visibility = vi.spyOn(document, "visibilityState", "get").mockReturnValue("hidden");
    document.dispatchEvent(new Event("visibilitychange"));
    visibility.mockReturnValue("visible");
    document.dispatchEvent(new Event("visibilitychange"));
    dispatchEvent(new Event("pointerdown"));
    await vi.advanceTimersByTimeAsync(1000);
    const updates = server.pushes("presence_update").map((frame) => frame[4]);
    expect(updates).toEqual([{ visible: false }, { visible: true }]);
  });

  test("lets typing overtake no update, and says it again after one", async () => {
    await start();
    const session = await join();
    session.update({ unsaved: true });
    session.update({ activity: "editing" });
    session.typing(true);
    session.typing(true);
    expect(server.received.slice(1).map(([, , , event, payload]) => [event, payload])).toEqual([
      ["presence_update", { unsaved: true }],
      ["presence_update", { activity: "editing" }],
      ["typing", { on: true }],
    ]);
    await vi.advanceTimersByTimeAsync(1000);
    session.update({ activity: "viewing" });
    session.update({ activity: "editing" });
    session.typing(true);
    await vi.advanceTimersByTimeAsync(100);
    expect(server.pushes("typing")).toHaveLength(2);
    expect(server.received.at(-1)?.[3]).toBe("typing");
  });

  test("says to whom it types, and hurries nothing for the staff's sake", async () => {
    await start();
    const session = await join();
    session.update({ unsaved: true });
    session.update({ activity: "editing" });
    session.typing(true, { audience: "staff" });
    session.typing(true);
    session.typing(false);
    expect(server.received.slice(1).map(([, , , event, payload]) => [event, payload])).toEqual([
      ["presence_update", { unsaved: true }],
      ["typing", { on: true, audience: "staff" }],
      ["presence_update", { activity: "editing" }],
      ["typing", { on: true }],
      ["typing", { on: false }],
    ]);
  });

  test("knows the pen: by the join, then by events, none older than what it knows", async () => {
    const free = { state: "free", holder: null, session: null, fence: "4" };
    server.answer = () => ({
      status: "ok",
      response: joinReply("ada", { seq: 5, pen: free as never }),
    });
    await start();
    const session = await join();
    expect(session.getSnapshot().pen).toEqual(free);
    const pen = (holder: string) => ({ ...free, state: "held", holder: { id: holder } });
    server.broadcast("doc:1", "pen", { seq: 5, type: "released", pen: pen("old") });
    expect(session.getSnapshot().pen).toEqual(free);
    server.broadcast("doc:1", "pen", { seq: 6, type: "granted", pen: pen("bob") });
    server.broadcast("doc:1", "pen", { seq: 7, type: "renewed", pen: pen("bob") });
    expect(session.getSnapshot().pen?.holder?.id).toBe("bob");
    const types = session
      .getSnapshot()
      .events.map(({ payload }) => (payload as { type: string }).type);
    expect(types).toEqual(["released", "granted"]);
  });

  test("asks from where it is, once it was told that events are lost", async () => {
    let seq = 3;
    let recovered: boolean | null = null;
    server.answer = () => ({ status: "ok", response: joinReply("ada", { seq, recovered }) });
    await start();
    await join();
    const since = () =>
      server.pushes("phx_join").map((frame) => (frame[4] as { since?: number }).since);
    for (const told of [9, 12]) {
      [seq, recovered] = [told, false];
      server.connection.end(1006);
      await vi.advanceTimersByTimeAsync(10_000);
    }
    expect(since().slice(-2)).toEqual([3, 9]);
  });

  test("reports other events, with their seq, and who is typing", async () => {
    await start();
    const session = await join();
    server.broadcast("doc:1", "presence_state", { bruno: { metas: [meta("bruno")] } });
    server.broadcast("doc:1", "cursor", { x: 1 });
    server.broadcast("doc:1", "typing", { key: "bruno", session: "bruno-1", on: true });
    expect(session.getSnapshot().events).toMatchObject([{ event: "cursor", seq: null }]);
    expect(session.getSnapshot().typing).toEqual([
      { key: "bruno", session: "bruno-1", name: "Bruno" },
    ]);
    server.broadcast("doc:1", "typing", { key: "bruno", session: "bruno-1", on: false });
    expect(session.getSnapshot().typing).toEqual([]);
  });

  test("rejects a push with the server's code", async () => {
    await start();
    const session = await join();
    server.answer = () => ({
      status: "error",
      response: { reason: "forbidden", code: "forbidden", message: "Not you." },
    });
    await expect(session.broadcast("moved", {})).rejects.toMatchObject({ code: "forbidden" });
  });

  test("renews the token once, however many topics announce its end", async () => {
    const fetchToken = vi.fn(async () => token("ada"));
    await start({ token: fetchToken });
    await join("doc:1");
    await join("doc:2");
    server.broadcast("doc:1", "token_expiring", { at: 1 });
    server.broadcast("doc:2", "token_expiring", { at: 1 });
    await settle();
    expect(fetchToken).toHaveBeenCalledTimes(2);
    expect(server.pushes("token")).toHaveLength(1);
    expect(server.pushes("token")[0]?.[2]).toBe("doc:1");
  });
});

describe("summaries", () => {
  const row = (topic: string, count: number) => ({
    topic,
    count,
    names: [],
    holder: null,
    prior: null,
  });

  test("asks for the union of what is watched and keeps the rows that did not change", async () => {
    await start();
    client.watchSummaries(["doc:1", "doc:2"]);
    const stop = client.watchSummaries(["doc:2", "doc:3"]);
    await settle();
    expect(server.pushes("phx_join").map((frame) => frame[4])).toEqual([
      { topics: ["doc:1", "doc:2", "doc:3"] },
    ]);
    const first = [row("doc:1", 1), row("doc:2", 0), row("doc:3", 0)];
    server.broadcast("system:summaries", "summaries", { data: first });
    server.broadcast("system:summaries", "summaries", { data: [row("doc:2", 5)] });
    const rows = client.summaries.getSnapshot();
    expect(rows.get("doc:1")?.count).toBe(1);
    expect(rows.get("doc:2")?.count).toBe(5);
    stop();
    await settle();
    expect(server.pushes("phx_join")[1]?.[4]).toEqual({ topics: ["doc:1", "doc:2"] });
    expect(client.summaries.getSnapshot().get("doc:2")?.count).toBe(5);
  });

  test("say as of when they are, until the rows have come again", async () => {
    await start();
    client.watchSummaries(["doc:1"]);
    await settle();
    const data = [row("doc:1", 1)];
    server.broadcast("system:summaries", "summaries", { data });
    expect(client.summariesAsOf.getSnapshot()).toBeNull();
    const heardAt = Date.now();
    await vi.advanceTimersByTimeAsync(20_000);
    server.connection.end(1006);
    expect(client.summariesAsOf.getSnapshot()).toBe(heardAt);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(client.connection.getSnapshot().status).toBe("connected");
    expect(client.summariesAsOf.getSnapshot()).toBe(heardAt);
    expect(client.summaries.getSnapshot().get("doc:1")?.count).toBe(1);
    server.broadcast("system:summaries", "summaries", { data });
    expect(client.summariesAsOf.getSnapshot()).toBeNull();
  });

  test("take nobody off a list before those who lost the server with it are back", async () => {
    await start();
    client.watchSummaries(["doc:1", "doc:2"]);
    await settle();
    const tell = (...data: object[]) => server.broadcast("system:summaries", "summaries", { data });
    const counts = () => [...client.summaries.getSnapshot().values()].map(({ count }) => count);
    const reconnect = async () => {
      server.connection.end(1006);
      await vi.advanceTimersByTimeAsync(1000);
      tell(row("doc:1", 0), row("doc:2", 0));
    };
    tell(row("doc:1", 2), row("doc:2", 1));
    await reconnect();
    expect(counts()).toEqual([2, 1]);
    expect(client.summariesAsOf.getSnapshot()).not.toBeNull();
    tell(row("doc:1", 1));
    expect(counts()).toEqual([2, 1]);
    tell(row("doc:2", 1), row("doc:1", 3));
    expect(counts()).toEqual([3, 1]);
    expect(client.summariesAsOf.getSnapshot()).toBeNull();

    // Who does not come back has left, and who was back and left too.
    await reconnect();
    await reconnect();
    expect(counts()).toEqual([3, 1]);
    tell(row("doc:2", 1));
    tell(row("doc:2", 0));
    expect(counts()).toEqual([3, 0]);
    await vi.advanceTimersByTimeAsync(5000);
    expect(counts()).toEqual([0, 0]);
    expect(client.summariesAsOf.getSnapshot()).toBeNull();
  });

  test("say why a list was refused, and don't ask for it again", async () => {
    server.answer = () => ({
      status: "error",
      response: { reason: "unauthorized", code: "not_authorized", message: "Not secret:1." },
    });
    await start();
    const stop = client.watchSummaries(["doc:1", "secret:1"]);
    await vi.advanceTimersByTimeAsync(30_000);
    expect(client.summariesError.getSnapshot()?.message).toBe("Not secret:1.");
    expect(server.pushes("phx_join")).toHaveLength(1);
    server.answer = () => ({ status: "ok", response: {} });
    client.watchSummaries(["doc:1"]);
    stop();
    await settle();
    expect(client.summariesError.getSnapshot()).toBeNull();
  });
});
