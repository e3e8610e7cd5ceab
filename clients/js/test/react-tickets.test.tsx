import { act, StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { expect, test, vi } from "vitest";
import { connect } from "../src/index.ts";
import { PenholderProvider, useTicket, useTickets } from "../src/react.tsx";
import { FakeServer, settle } from "./fake-server.ts";
import { joinReply, token } from "./fixtures.ts";
import { comment, page, publicTicket, ticketEvent } from "./ticket-fixtures.ts";

Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: true });

function Desk({ status }: { status: "open" | "closed" }) {
  const { list } = useTickets({ status: [status] });
  const { record } = useTicket("t1");
  return (
    <p>
      {list.rows.map(({ title }) => title).join(", ")}: {record.ticket?.title},{" "}
      {record.comments.length}
    </p>
  );
}

test("components follow the desk, join each topic once, and leave it with the last of them", async () => {
  const server = new FakeServer();
  server.answer = ([, , , event]) => ({
    status: "ok",
    response: event === "phx_join" ? joinReply("ada") : {},
  });
  const one = publicTicket(1);
  const asked: string[] = [];
  const client = connect({
    url: "ws://here/socket",
    token: token("tomas"),
    webSocket: server.webSocket,
    fetch: async (url) => {
      const path = String(url);
      asked.push(path);
      if (path.includes("/comments")) return Response.json(page([comment(1)] as never));
      if (path.includes("/history") || path.includes("/events")) return Response.json(page([]));
      return Response.json(path.includes("?") ? page([one]) : one);
    },
  });
  const container = document.createElement("div");
  const root = createRoot(container);
  const render = (status: "open" | "closed") =>
    act(async () => {
      root.render(
        <StrictMode>
          <PenholderProvider client={client}>
            <Desk status={status} />
          </PenholderProvider>
        </StrictMode>,
      );
      await settle();
    });
  const shows = (text: string) =>
    vi.waitFor(
      async () => {
        await act(settle);
        expect(container.textContent).toBe(text);
      },
      { timeout: 15_000 },
    );
  await render("open");
  await shows("Ticket 1: Ticket 1, 1");
  expect(asked.every((path) => path.startsWith("http://here/v1/"))).toBe(true);
  const topics = () => server.pushes("phx_join").map(([, , topic]) => topic);
  expect(topics().sort()).toEqual(["tickets:t1", "tickets:user:tomas"]);

  const told = { ticket: publicTicket(1, { title: "New", updated_at: one.updated_at }) };
  await act(async () => {
    const event = ticketEvent(1, "ticket_updated", told);
    server.broadcast("tickets:user:tomas", "ticket_updated", event);
    server.broadcast("tickets:t1", "ticket_updated", event);
  });
  expect(container.textContent).toBe("New: New, 1");

  await render("closed");
  await shows(": New, 1");
  expect(topics()).toHaveLength(2);
  await act(async () => root.unmount());
  await settle();
  expect(server.pushes("phx_leave")).toHaveLength(2);
  client.disconnect();
});
