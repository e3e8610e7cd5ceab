import { act, type ReactNode, StrictMode, useEffect } from "react";
import { createRoot, type Root } from "react-dom/client";
import { afterEach, beforeEach, expect, test } from "vitest";
import { connect, type PenholderClient } from "../src/index.ts";
import {
  PenholderProvider,
  useConnection,
  useEditPriority,
  usePen,
  usePresence,
  useSummaries,
  useSummariesAsOf,
  useTyping,
} from "../src/react.tsx";
import { FakeServer, settle } from "./fake-server.ts";
import { heldBy, joinReply, meta, penEvent, person, summary, token } from "./fixtures.ts";

Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });

let server: FakeServer;
let client: PenholderClient;
let root: Root;
let container: HTMLElement;

beforeEach(() => {
  server = new FakeServer();
  server.answer = ([, , , event]) => ({
    status: "ok",
    response: event === "phx_join" ? joinReply("ada") : {},
  });
  client = connect({ url: "ws://here", token: token("ada"), webSocket: server.webSocket });
  container = document.createElement("div");
  root = createRoot(container);
});

afterEach(async () => {
  await act(async () => root.unmount());
  client.disconnect();
});

async function render(children: ReactNode) {
  await act(async () => {
    root.render(
      <StrictMode>
        <PenholderProvider client={client}>{children}</PenholderProvider>
      </StrictMode>,
    );
    await settle();
  });
}

async function receive(event: string, payload: object) {
  await act(async () => server.broadcast("doc:1", event, payload));
}

function People({ mode }: { mode?: "edit" | "view" }) {
  const { members, status } = usePresence("doc:1", { mode, meta: { color: "red" } });
  return (
    <p>
      {status}: {members.map(({ user }) => user.name).join(", ")}
    </p>
  );
}

function Banner() {
  const { message, hasPriority, isReadOnly } = useEditPriority("doc:1", "ticket");
  return <p>{message ?? (hasPriority && !isReadOnly ? "yours" : "unknown")}</p>;
}

function Status() {
  const { status } = useConnection();
  const { typing, setTyping } = useTyping("doc:1");
  return (
    <button type="button" onClick={() => setTyping(true)}>
      {status} {typing.map(({ name }) => name).join()}
    </button>
  );
}

function List() {
  const rows = useSummaries(["doc:1", "doc:2"]);
  const isOld = useSummariesAsOf() !== null;
  const text = [...rows.values()].map(({ topic, count }) => `${topic}=${count}`).join();
  return <p>{isOld ? `${text} of before` : text}</p>;
}

test("two components on one topic share one channel, in StrictMode too", async () => {
  await render(
    <>
      <People />
      <Banner />
    </>,
  );
  expect(server.pushes("phx_join")).toHaveLength(1);
  expect(server.pushes("phx_join")[0]?.[4]).toMatchObject({ meta: { color: "red" } });
  expect(server.pushes("phx_leave")).toHaveLength(0);
});

test("shows who is there and who is first, as it changes", async () => {
  await render(
    <>
      <People />
      <Banner />
    </>,
  );
  expect(container.textContent).toBe("joined: unknown");
  await receive("presence_state", {
    bruno: { metas: [meta("bruno", { joined_at: 1 })] },
    ada: { metas: [meta("ada")] },
  });
  await receive("presence_summary", summary([person("bruno"), person("ada")]));
  expect(container.textContent).toContain("joined: Bruno, Ada");
  expect(container.textContent).toContain("you can't edit this ticket until they close");
  await receive("presence_summary", summary([person("ada")]));
  expect(container.textContent).toContain("yours");
});

test("leaves when the last component on the topic has gone", async () => {
  await render(
    <>
      <People />
      <Banner />
    </>,
  );
  await render(<Banner />);
  expect(server.pushes("phx_leave")).toHaveLength(0);
  await render(null);
  expect(server.pushes("phx_leave")).toHaveLength(1);
});

function Editor({ mode }: { mode?: "edit" | "view" }) {
  const { actions } = usePresence("doc:1", { mode });
  return <Text onMount={() => actions.update({ unsaved: true })} />;
}

function Text({ onMount }: { onMount: () => void }) {
  const { isMine } = usePen("doc:1");
  // biome-ignore lint/correctness/useExhaustiveDependencies: once
  useEffect(onMount, []);
  return <p>{isMine}</p>;
}

test("a hook in a child joins nothing of its own, and keeps the resume token", async () => {
  const storage = new Map([
    ["penholder:resume:ws://here/socket", '{"doc:1":{"resume":"kept","key":"ada"}}'],
  ]);
  client.disconnect();
  client = connect({
    url: "ws://here",
    token: token("ada"),
    webSocket: server.webSocket,
    storage: {
      getItem: (name) => storage.get(name) ?? null,
      setItem: (name, value) => void storage.set(name, value),
      removeItem: (name) => void storage.delete(name),
    },
  });
  await render(<Editor mode="view" />);
  const joins = () => server.pushes("phx_join").map((frame) => frame[4]);
  expect(joins()).toEqual([{ mode: "view", resume: "kept" }]);

  await render(
    <>
      <Editor mode="view" />
      <Banner />
    </>,
  );
  await render(<Banner />);
  await render(<Editor mode="view" />);
  await render(<Editor />);
  expect(joins()).toHaveLength(1);
  expect(server.pushes("phx_leave")).toHaveLength(0);
});

test("what a child tells as it mounts is told once the topic is joined", async () => {
  // Without StrictMode, which would let it tell twice.
  await act(async () => {
    root.render(
      <PenholderProvider client={client}>
        <Editor />
      </PenholderProvider>,
    );
    await settle();
  });
  expect(server.pushes("presence_update")[0]?.[4]).toMatchObject({ unsaved: true });
});

test("joins anew when the mode changes, and only then", async () => {
  await render(<People mode="view" />);
  await render(<People mode="view" />);
  expect(server.pushes("phx_join")).toHaveLength(1);
  await render(<People mode="edit" />);
  expect(server.pushes("phx_join").map((frame) => frame[4].mode)).toEqual(["view", "edit"]);
});

test("reports the connection and typing", async () => {
  await render(<Status />);
  await receive("presence_state", { bruno: { metas: [meta("bruno")] } });
  await receive("typing", { key: "bruno", session: "bruno-1", on: true });
  expect(container.textContent).toBe("connected Bruno");
  await act(async () => container.querySelector("button")?.click());
  expect(server.pushes("typing")[0]?.[4]).toEqual({ on: true });
});

test("fills a list of topics", async () => {
  await render(<List />);
  const row = { count: 2, names: [], holder: null, prior: null };
  await act(async () =>
    server.broadcast("system:summaries", "summaries", { data: [{ topic: "doc:1", ...row }] }),
  );
  expect(container.textContent).toBe("doc:1=2");
  await act(async () => server.connection.end(1006));
  expect(container.textContent).toBe("doc:1=2 of before");
});

function PenOf() {
  const { pen, isMine, isTaken, place, actions } = usePen("doc:1");
  const text = `${pen?.state} ${isMine ? "mine" : isTaken ? pen?.holder?.name : "-"} ${place}`;
  return (
    <>
      <p>{text}</p>
      <button type="button" onClick={() => actions.acquire({ wait: false })}>
        Acquire
      </button>
      <button type="button" onClick={() => actions.answer("decline", { reason: "soon" })}>
        Decline
      </button>
    </>
  );
}

test("follows the pen, and answers under the fence of the moment", async () => {
  await render(<PenOf />);
  const press = (index: number) =>
    act(async () => {
      container.querySelectorAll("button")[index]?.click();
      await settle();
    });
  await press(0);
  expect(server.pushes("pen_acquire")[0]?.[4]).toEqual({ wait: false });
  await receive("pen", penEvent(1, "granted", { fence: "7", ...heldBy("ada") }));
  expect(container.querySelector("p")?.textContent).toBe("held mine null");
  await press(1);
  expect(server.pushes("pen_answer")[0]?.[4]).toEqual({
    fence: "7",
    answer: "decline",
    reason: "soon",
  });
  const queue = [{ id: "ada", name: "Ada", answer_by: null }];
  await receive("pen", penEvent(2, "taken_over", { fence: "8", ...heldBy("bruno"), queue }));
  expect(container.querySelector("p")?.textContent).toBe("held Bruno 1");
});
