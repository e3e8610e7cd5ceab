import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { connect, type PenholderClient, TicketsError, userTopic } from "../src/index.ts";
import type { Ticket } from "../src/protocol.ts";
import { TicketListStore, TicketStatsStore, TicketStore } from "../src/tickets/stores.ts";
import { FakeServer, settle } from "./fake-server.ts";
import { joinReply } from "./fixtures.ts";
import { comment, page, ticket, ticketEvent } from "./ticket-fixtures.ts";

/** One request as it was sent. */
interface Sent {
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: unknown;
}

let server: FakeServer;
let client: PenholderClient;
let sent: Sent[];
/** What is answered: a body, a response, or a promise of one. */
let answer: (request: Sent) => unknown;
let recovered: boolean | null;

beforeEach(() => {
  server = new FakeServer();
  recovered = null;
  server.answer = ([, , , event]) => ({
    status: "ok",
    response: event === "phx_join" ? joinReply("ada", { recovered, seq: 5 }) : {},
  });
  sent = [];
  answer = () => page([]);
  client = connect({
    url: "http://here",
    token: tokenOf({ sub: "ada", role: "agent" }),
    webSocket: server.webSocket,
    fetch: fakeFetch,
  });
});

afterEach(() => {
  client.disconnect();
  vi.useRealTimers();
});

function tokenOf(claims: object): string {
  return `e30.${btoa(JSON.stringify({ exp: Date.now() / 1000 + 3600, ...claims }))}.c2ln`;
}

const fakeFetch: typeof fetch = async (url, init) => {
  const { method = "GET", headers, body } = init ?? {};
  const request: Sent = {
    method,
    path: String(url).replace("http://here", ""),
    headers: headers as Record<string, string>,
    body: body === undefined ? null : JSON.parse(String(body)),
  };
  sent.push(request);
  const answered = await answer(request);
  if (answered instanceof Error) throw answered;
  return answered instanceof Response ? answered : Response.json(answered);
};

/** Waits until `check` passes, however slow the machine is. */
function until(check: () => void): Promise<void> {
  return vi.waitFor(check, { timeout: 15_000 });
}

function refusal(status: number, body: object, headers: Record<string, string> = {}): Response {
  return Response.json(body, { status, headers });
}

test("a list is asked for with its filters", async () => {
  await client.tickets.list(
    { status: ["open", "closed"], assigned_to: "none", q: "50% & more" },
    { cursor: "c", limit: 10 },
  );
  const [{ path, headers } = { path: "", headers: {} }] = sent;
  const query = new URL(path, "http://here").searchParams;
  expect(query.getAll("status")).toEqual(["open", "closed"]);
  expect(Object.fromEntries(query)).toMatchObject({
    assigned_to: "none",
    q: "50% & more",
    cursor: "c",
    limit: "10",
  });
  expect((headers as Record<string, string>).authorization).toMatch(/^Bearer e30\./);
});

test("people are asked for by role and text", async () => {
  answer = () => ({ data: [{ id: "ada", name: "Ada", role: "agent" }], next_cursor: null });
  const { data } = await client.tickets.people({ role: ["agent", "admin"], q: "a" }, { limit: 5 });
  expect(data.map(({ name }) => name)).toEqual(["Ada"]);
  expect(sent[0]?.path).toBe("/v1/users?role=agent&role=admin&q=a&limit=5");
});

test("a change names its version and the fence of the pen, where there are any", async () => {
  answer = () => ticket(1);
  await client.tickets.update("t1", { title: "B" }, { version: 3, fence: "18446744073709551615" });
  await client.tickets.update("t1", { title: "B" });
  expect(sent[0]).toMatchObject({ method: "PATCH", path: "/v1/tickets/t1", body: { title: "B" } });
  expect(sent[0]?.headers).toMatchObject({
    "if-match": '"3"',
    "penholder-fence": "18446744073709551615",
  });
  expect(Object.keys(sent[1]?.headers ?? {})).not.toContain("if-match");
});

test("who is refused is told why, with the holder of the pen", async () => {
  const holder = { id: "bruno", name: "Bruno", kind: "human" };
  answer = () => refusal(409, { code: "stale_fence", message: "Too late.", details: { holder } });
  const error = await client.tickets.update("t1", {}).catch((problem: unknown) => problem);
  expect(error).toBeInstanceOf(TicketsError);
  expect(error).toMatchObject({ code: "stale_fence", status: 409, details: { holder } });
  answer = () => new Response("<html>", { status: 502 });
  await expect(client.tickets.stats()).rejects.toMatchObject({ code: "unknown", status: 502 });
  answer = () => new TypeError("fetch failed");
  await expect(client.tickets.stats()).rejects.toMatchObject({ code: "unreachable", status: null });
});

test("a post is asked again under the same key, and what is refused for good is not", async () => {
  vi.useFakeTimers();
  const answers = [
    new TypeError("fetch failed"),
    refusal(409, { code: "request_in_progress", message: "" }, { "retry-after": "1" }),
    ticket(1),
  ];
  answer = () => answers.shift();
  const created = client.tickets.create({ title: "A", description: "B" });
  await vi.runAllTimersAsync();
  expect((await created).id).toBe("t1");
  const keys = sent.map(({ headers }) => headers["idempotency-key"]);
  expect(keys[0]).toMatch(/^[0-9a-f]{32}$/);
  expect(new Set(keys).size).toBe(1);
  expect(keys).toHaveLength(3);

  answer = () => refusal(409, { code: "invalid_transition", message: "" });
  await expect(client.tickets.transition("t1", "open")).rejects.toMatchObject({ status: 409 });
  expect(sent).toHaveLength(4);
  expect(sent[3]?.headers["idempotency-key"]).not.toBe(keys[0]);
});

test("comments are fetched to the last page", async () => {
  const pages = [
    { data: [comment(1)], next_cursor: "a b" },
    { data: [comment(2)], next_cursor: null },
  ];
  answer = () => pages.shift();
  expect(await client.tickets.comments("t1")).toHaveLength(2);
  expect(sent[1]?.path).toContain("cursor=a+b");
});

test("a topic's log is fetched from what is kept of it, page by page", async () => {
  const pages = [
    { data: [ticketEvent(4, "ticket_created")], next_cursor: 4 },
    { data: [ticketEvent(5, "ticket_updated")], next_cursor: null },
  ];
  answer = () => pages.shift();
  expect(await client.tickets.events("tickets:t1")).toHaveLength(2);
  expect(sent[0]?.path).toBe("/v1/topics/tickets%3At1/events?limit=1000");
  expect(sent[1]?.path).toContain("after=4");
});

test("a list is fetched once its topic is joined, unseen, and follows the events", async () => {
  answer = () => page([ticket(1)]);
  const store = new TicketListStore(client, {});
  const stop = store.subscribe(() => undefined);
  expect(sent).toHaveLength(0);
  await until(() => expect(store.getSnapshot().status).toBe("ready"));
  const [join] = server.pushes("phx_join");
  expect(join?.[2]).toBe("tickets:all");
  expect(join?.[4]).toMatchObject({ presence: false });
  const told = ticketEvent(6, "ticket_created", { ticket: ticket(2) });
  server.broadcast("tickets:all", "ticket_created", told);
  server.broadcast("tickets:all", "ticket_created", told);
  expect(store.getSnapshot().list.rows.map(({ id }) => id)).toEqual(["t2", "t1"]);
  expect(sent).toHaveLength(1);
  stop();
  await settle();
  expect(server.pushes("phx_leave")).toHaveLength(1);
});

test("customers hear of their own tickets", async () => {
  client.disconnect();
  client = connect({
    url: "http://here",
    token: tokenOf({ sub: "tomas", role: "customer" }),
    webSocket: server.webSocket,
    fetch: fakeFetch,
  });
  const store = new TicketListStore(client, {});
  store.subscribe(() => undefined);
  await until(() => expect(store.getSnapshot().status).toBe("ready"));
  expect(server.pushes("phx_join").at(-1)?.[2]).toBe("tickets:user:tomas");
});

test.each([
  ["ann", "ann"],
  ["A_b.c-9", "A_b.c-9"],
  ["ann@desk.test", "ann~40desk.test"],
  ["auth0|7", "auth0~7C7"],
  ["a b:c~d", "a~20b~3Ac~7Ed"],
  ["Zoë\u{1f600}", "Zo~C3~AB~F0~9F~98~80"],
])("the topic of %s is that of one person", (sub, name) => {
  expect(userTopic(sub)).toBe(`tickets:user:${name}`);
});

test("nothing is live while the connection is lost, and all is again without a fetch", async () => {
  answer = () => page([ticket(1)]);
  const store = new TicketListStore(client, {});
  store.subscribe(() => undefined);
  await until(() => expect(store.getSnapshot()).toMatchObject({ status: "ready", isLive: true }));
  recovered = true;
  server.accepts = false;
  server.connection.end(1006);
  expect(store.getSnapshot()).toMatchObject({ status: "ready", isLive: false });
  server.accepts = true;
  await until(() => expect(store.getSnapshot().isLive).toBe(true));
  expect(sent).toHaveLength(1);
});

test("nothing is live while a topic is joined anew, nor where the connection is lost meanwhile", async () => {
  answer = () => page([ticket(1)]);
  const store = new TicketListStore(client, {});
  store.subscribe(() => undefined);
  await until(() => expect(store.getSnapshot()).toMatchObject({ status: "ready", isLive: true }));
  const answered = server.answer;
  server.answer = () => undefined;
  client.topic("tickets:all").rejoin();
  expect(store.getSnapshot().isLive).toBe(false);
  server.connection.end(1006);
  expect(store.getSnapshot().isLive).toBe(false);
  server.answer = answered;
  await until(() => expect(store.getSnapshot().isLive).toBe(true));
});

/** Loses the connection, and waits for the join after it. */
async function reconnect(): Promise<void> {
  const joins = server.pushes("phx_join").length;
  server.connection.end(1006);
  await until(() => expect(server.pushes("phx_join").length).toBeGreaterThan(joins));
  await settle();
}

test("after a gap that cannot be told the list is fetched anew, and otherwise not", async () => {
  answer = () => page([ticket(1)]);
  const store = new TicketListStore(client, {});
  store.subscribe(() => undefined);
  await until(() => expect(store.getSnapshot().status).toBe("ready"));
  recovered = true;
  await reconnect();
  expect(server.pushes("phx_join").at(-1)?.[4]).toMatchObject({ since: 5 });
  expect(sent).toHaveLength(1);
  recovered = false;
  answer = () => page([ticket(3)]);
  await reconnect();
  await until(() => expect(store.getSnapshot().list.rows[0]?.id).toBe("t3"));
  expect(sent).toHaveLength(2);
  expect(store.getSnapshot().list.rows).toHaveLength(1);
});

test("a list that is fetched anew is as long as it was", async () => {
  const all = Array.from({ length: 150 }, (_, n) => ticket(n)).reverse();
  answer = ({ path }) => {
    const query = new URL(path, "http://here").searchParams;
    const from = Number(query.get("cursor") ?? 0);
    const to = from + Number(query.get("limit"));
    return page(all.slice(from, to), to < all.length ? String(to) : null);
  };
  const store = new TicketListStore(client, {});
  store.subscribe(() => undefined);
  await until(() => expect(store.getSnapshot().status).toBe("ready"));
  for (let asked = 0; asked < 4; asked += 1) await store.more();
  expect(store.getSnapshot().list.rows).toHaveLength(125);
  await store.reload();
  expect(store.getSnapshot().list.rows).toHaveLength(125);
  await store.more();
  expect(store.getSnapshot().list.rows.map(({ id }) => id)).toEqual(all.map(({ id }) => id));
});

test("a list that could not be fetched keeps what it has, and is asked for again", async () => {
  vi.useFakeTimers();
  const answers: unknown[] = [new TypeError("fetch failed"), page([ticket(1)])];
  answer = () => answers.shift();
  const store = new TicketListStore(client, {});
  store.subscribe(() => undefined);
  await until(() => expect(store.getSnapshot().status).toBe("failed"));
  expect(store.getSnapshot().error?.code).toBe("unreachable");
  await until(() => expect(store.getSnapshot().status).toBe("ready"));
  expect(store.getSnapshot().error).toBeNull();
});

test("a page that comes after the list began anew is left out", async () => {
  answer = () => page([ticket(9)], "next");
  const store = new TicketListStore(client, {});
  store.subscribe(() => undefined);
  await until(() => expect(store.getSnapshot().status).toBe("ready"));
  let give: (value: unknown) => void = () => undefined;
  answer = () =>
    new Promise((resolve) => {
      give = resolve;
    });
  const more = store.more();
  await until(() => expect(sent).toHaveLength(2));
  const giveMore = give;
  answer = () => page([ticket(10)]);
  await store.reload();
  giveMore(page([ticket(1)]));
  await more;
  expect(store.getSnapshot().list.rows.map(({ id }) => id)).toEqual(["t10"]);
});

/** Answers what a ticket is fetched by. */
function answerTicket(one: Ticket): (request: Sent) => unknown {
  return ({ path, method }) => {
    if (method === "POST") return comment(2);
    if (path.startsWith("/v1/topics/")) return refusal(404, { code: "not_found", message: "" });
    if (path.includes("/comments")) return page([comment(1)] as never);
    if (path.includes("/history")) return page([]);
    return one;
  };
}

test("a ticket is seen without its log, and a comment made here shows once", async () => {
  answer = answerTicket(ticket(1));
  const store = new TicketStore(client, "t1");
  store.subscribe(() => undefined);
  await until(() => expect(store.getSnapshot().status).toBe("ready"));
  expect(server.pushes("phx_join")[0]?.[2]).toBe("tickets:t1");
  await store.comment({ content: "Comment 2" });
  const told = ticketEvent(6, "comment_created", { ticket: ticket(1), comment: comment(2) });
  server.broadcast("tickets:t1", "comment_created", told);
  expect(store.getSnapshot().record.comments.map(({ id }) => id)).toEqual(["c1", "c2"]);
});

test("files of a comment that an event has told of are fetched, once for a burst", async () => {
  const file = { id: "f", comment_id: "c2", url: "https://a.example", name: "a", size: 1 };
  const comments = [1, 2, 3].map((n) => ({ ...comment(n), attachments: n === 2 ? [file] : [] }));
  answer = (request) =>
    request.path.includes("/comments")
      ? page(comments.slice(0, isTold ? 3 : 1) as never)
      : answerTicket(ticket(1))(request);
  let isTold = false;
  const store = new TicketStore(client, "t1");
  const stop = store.subscribe(() => undefined);
  await until(() => expect(store.getSnapshot().status).toBe("ready"));
  isTold = true;
  vi.useFakeTimers();
  const before = sent.length;
  for (const n of [2, 3]) {
    const told = ticketEvent(n, "comment_created", { ticket: ticket(1), comment: comment(n) });
    server.broadcast("tickets:t1", "comment_created", told);
  }
  await vi.advanceTimersByTimeAsync(5000);
  expect(store.getSnapshot().record.files.get("c2")).toEqual([file]);
  expect(sent).toHaveLength(before + 1);
  // Nobody watches any more, so nothing is asked.
  const late = ticketEvent(9, "comment_created", { ticket: ticket(1), comment: comment(9) });
  server.broadcast("tickets:t1", "comment_created", late);
  stop();
  await vi.advanceTimersByTimeAsync(5000);
  expect(sent).toHaveLength(before + 1);
});

test("a ticket that is not there fails, and is not asked for again and again", async () => {
  vi.useFakeTimers();
  answer = () => refusal(404, { code: "not_found", message: "" });
  const store = new TicketStore(client, "t1");
  store.subscribe(() => undefined);
  await until(() => expect(store.getSnapshot().status).toBe("failed"));
  const asked = sent.length;
  await vi.advanceTimersByTimeAsync(60_000);
  expect(sent).toHaveLength(asked);
});

test("counts are asked for again once for a burst of events, and not for comments", async () => {
  const by_status = {
    open: 1,
    in_progress: 0,
    waiting_for_user: 0,
    waiting_for_agent: 0,
    resolved: 0,
    closed: 0,
  };
  answer = () => ({ total: sent.length, by_status, unassigned: 0 });
  const store = new TicketStatsStore(client);
  store.subscribe(() => undefined);
  await until(() => expect(store.getSnapshot().stats?.total).toBe(1));
  vi.useFakeTimers();
  server.broadcast("tickets:all", "comment_created", ticketEvent(6, "comment_created"));
  await vi.advanceTimersByTimeAsync(5000);
  expect(sent).toHaveLength(1);
  for (const seq of [7, 8, 9]) {
    server.broadcast("tickets:all", "ticket_created", ticketEvent(seq, "ticket_created"));
  }
  await vi.advanceTimersByTimeAsync(5000);
  expect(sent).toHaveLength(2);
  expect(store.getSnapshot().stats?.total).toBe(2);
});
