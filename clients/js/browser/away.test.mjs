/** What a page shows while its connection is lost, and how it comes back, in a real browser against the real server. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import {
  createTicket,
  deskStage,
  freshTitle,
  heading,
  openTicket,
  row,
  say,
  waitForComment,
  waitForHistory,
  waitForValue,
} from "./desk-harness.mjs";
import { Line, picture, sign, waitForConnection, waitForPen } from "./harness.mjs";

const { server, deskOf } = await deskStage();

async function lineTo() {
  const line = await Line.to(server);
  after(() => line.close());
  return line;
}

/** Waits until all that matches says whether it is of now. */
function waitForStale(page, selector, isStale) {
  return page.waitForFunction(
    ([parts, stale]) => {
      const found = [...document.querySelectorAll(parts)];
      return found.length > 0 && found.every((part) => part.dataset.stale === String(stale));
    },
    [selector, isStale],
  );
}

/** Where the parts of the page are that are below what changes. */
function places(page) {
  return page.evaluate(() =>
    ["pen", "ticket-text", "composer", "history", "rows"].map((id) => {
      const { x, y, width, height } = document
        .querySelector(`[data-testid="${id}"]`)
        .getBoundingClientRect();
      return [id, x, y, width, height];
    }),
  );
}

test("while the connection is lost, who is here is as of then, and comes back without moving anything", async () => {
  const line = await lineTo();
  const ada = await deskOf("ada", { by: line });
  const bruno = await deskOf("bruno");
  const id = await createTicket(bruno, freshTitle("Out of sight"));
  await openTicket(ada, id);
  await bruno.getByTestId("description-field").fill("Bruno writes");
  await waitForPen(ada, "Bruno Salas has the pen since");
  await ada.locator('[data-testid="viewer-bruno"][data-pen="true"]').waitFor();
  await row(ada, id).getByTestId("row-pen").filter({ hasText: "has the pen" }).waitFor();
  await row(ada, id).filter({ hasText: "Here: " }).waitFor();
  const parts = `[data-testid="viewers"], [data-testid="status-filter"], [data-testid="pen"],
    [data-testid="present-tickets:${id}"], [data-testid="row-pen"]`;
  await waitForStale(ada, parts, false);
  const before = await places(ada);

  line.cut();
  await waitForConnection(ada, "reconnecting");
  await waitForStale(ada, parts, true);
  await ada.getByTestId("connection").filter({ hasText: "shown as of" }).waitFor();
  await ada.getByTestId("viewers-as-of").filter({ hasText: "Here as of" }).waitFor();
  await ada.getByRole("region", { name: /^Here as of/ }).waitFor();
  await ada.getByRole("group", { name: /^Status, counted as of/ }).waitFor();
  await row(ada, id).filter({ hasText: "Here as of" }).waitFor();
  await row(ada, id).getByTestId("row-pen").filter({ hasText: "had the pen as of" }).waitFor();
  await waitForPen(ada, "Bruno Salas had the pen.");
  await waitForPen(ada, "The connection is lost: this is as of");
  await ada.waitForFunction(() =>
    [...document.querySelectorAll(".viewers .avatar")].every(
      (face) => getComputedStyle(face).filter === "grayscale(1)",
    ),
  );
  assert.deepEqual(await places(ada), before);
  await picture(ada, "desk-away");

  // Who was there all the time is not taken away and shown anew.
  await ada.evaluate(() => {
    window.gone = [];
    const note = (changes) => {
      const nodes = changes.flatMap(({ removedNodes }) => [...removedNodes]);
      const viewers = nodes.filter((node) => node.dataset?.testid?.startsWith("viewer-"));
      window.gone.push(...viewers.map((viewer) => viewer.dataset.testid));
    };
    const list = document.querySelector('[data-testid="viewers"]');
    new MutationObserver(note).observe(list, { childList: true, subtree: true });
  });
  line.mend();
  await waitForConnection(ada, "connected");
  await waitForStale(ada, parts, false);
  await waitForPen(ada, "Bruno Salas has the pen since");
  await ada.getByTestId("viewers-as-of").waitFor({ state: "detached" });
  assert.deepEqual(await places(ada), before);
  assert.deepEqual(await ada.evaluate(() => window.gone), []);
});

test("at no width does the page move when the connection goes and comes", async () => {
  const line = await lineTo();
  const ada = await deskOf("ada", { by: line });
  await createTicket(ada, freshTitle("At any width"));
  for (const width of [1280, 1190, 1100, 900, 700, 560, 490, 360]) {
    await ada.setViewportSize({ width, height: 800 });
    const main = () => ada.locator("main").boundingBox();
    const before = await main();
    line.cut();
    await waitForConnection(ada, "reconnecting");
    await ada.getByTestId("connection").filter({ hasText: "shown as of" }).waitFor();
    assert.deepEqual(await main(), before, `lost at ${width} px`);
    line.mend();
    await waitForConnection(ada, "connected");
    assert.deepEqual(await main(), before, `back at ${width} px`);
  }
});

test("after a restart who is back is here now, and who is not back yet is as of before, until it is clear that they left", async () => {
  const ada = await deskOf("ada");
  const bruno = await deskOf("bruno");
  const id = await createTicket(ada, freshTitle("Not back yet"));
  await openTicket(bruno, id);
  await ada.getByTestId("viewer-bruno").waitFor();
  await ada.evaluate(() => {
    window.seen = new Set();
    const stale = (testId) => document.querySelector(`[data-testid="${testId}"]`)?.dataset.stale;
    const look = () => {
      const all = ["viewers", "viewer-ada", "viewer-bruno"].map((it) => stale(it) ?? "gone");
      window.seen.add(all.join(" "));
    };
    const options = { subtree: true, childList: true, attributes: true };
    new MutationObserver(look).observe(document.body, options);
  });
  await server.kill();
  await waitForConnection(ada, "reconnecting");
  await waitForStale(ada, '[data-testid="viewers"], .viewer', true);
  await bruno.context().close();
  await server.start();
  await waitForConnection(ada, "connected");
  await ada.getByTestId("viewer-bruno").waitFor({ state: "detached" });
  await waitForStale(ada, '[data-testid="viewers"], .viewer', false);
  const seen = await ada.evaluate(() => [...window.seen]);
  assert.ok(seen.includes("true true true"), `all as of before: ${seen}`);
  assert.ok(seen.includes("false false true"), `Ada is here, Bruno not yet: ${seen}`);
});

test("on a topic the banner says as of when, and who has come meanwhile is there at once", async () => {
  const line = await lineTo();
  const ada = await deskOf("ada", { by: line });
  const bruno = await deskOf("bruno");
  await ada.goto(`${line.url}/?topic=demo:ticket-1042`);
  await ada.getByTestId("member-ada").waitFor();
  line.cut();
  await waitForConnection(ada, "reconnecting");
  await ada.getByTestId("banner-text").filter({ hasText: "this is as of" }).waitFor();
  const here = ada.getByRole("region", { name: /^Here as of/ });
  await here.filter({ hasText: "Was here" }).waitFor();
  await bruno.goto(`${server.url}/?topic=demo:ticket-1042`);
  await bruno.getByTestId("member-bruno").waitFor();
  line.mend();
  await ada.getByRole("region", { name: /^Here now/ }).waitFor();
  await ada.getByTestId("member-bruno").filter({ hasText: "Active" }).waitFor();
  assert.equal(await ada.getByText("Was here").count(), 0);
});

test("what is begun while the connection is lost is written under the pen once it is there again", async () => {
  const line = await lineTo();
  const ada = await deskOf("ada", { by: line });
  const bruno = await deskOf("bruno");
  const id = await createTicket(ada, freshTitle("Begun on the train"));
  await openTicket(bruno, id);
  await waitForPen(ada, "Nobody has the pen.");
  line.cut();
  await waitForConnection(ada, "reconnecting");
  await waitForPen(ada, "Nobody had the pen.");
  await ada.getByTestId("description-field").fill("Begun on the train");
  line.mend();
  await waitForPen(ada, "You have the pen since");
  await waitForPen(bruno, "Ada Okafor has the pen since");
  await waitForValue(ada, "description-field", "Begun on the train");

  // Who has thought better of it does not get it.
  await ada.getByTestId("description-field").press("Control+Enter");
  await waitForPen(bruno, "Nobody has the pen.");
  line.cut();
  await waitForConnection(ada, "reconnecting");
  await waitForPen(ada, "Nobody had the pen.");
  await ada.getByTestId("description-field").fill("No");
  await ada.getByTestId("discard-text").click();
  line.mend();
  await waitForPen(ada, "Nobody has the pen.");
  await bruno.getByTestId("description-field").fill("Bruno's turn");
  await waitForPen(ada, "Bruno Salas has the pen since");
  assert.equal(await ada.getByTestId("pen-draft").count(), 0);
});

test("what is begun while the connection is lost does not take the pen from one's other tab", async () => {
  const line = await lineTo();
  const ada = await deskOf("ada", { by: line });
  const other = await deskOf("ada");
  const id = await createTicket(ada, freshTitle("Begun twice"));
  await openTicket(other, id);
  await waitForPen(ada, "Nobody has the pen.");
  line.cut();
  await waitForConnection(ada, "reconnecting");
  await ada.getByTestId("description-field").fill("Begun on the train");
  await other.getByTestId("description-field").fill("Begun at the desk");
  await waitForPen(other, "You have the pen since");
  const asked = [];
  ada.on("websocket", (socket) => socket.on("framesent", ({ payload }) => asked.push(payload)));
  line.mend();
  await waitForPen(ada, "You have the pen in another tab");
  await waitForValue(ada, "description-field", "Begun on the train");
  // What is said later is answered later: whatever was asked for before it is done.
  await say(ada, "Here I am again");
  await waitForComment(other, "Here I am again");
  assert.deepEqual(
    asked.filter((frame) => String(frame).includes("pen_acquire")),
    [],
  );
  await waitForPen(other, "You have the pen since");
});

test("a status is changed once, however often the button is pressed until it is", async () => {
  const ada = await deskOf("ada");
  await createTicket(ada, freshTitle("Pressed twice"));
  const held = [];
  await ada.route(
    (url) => url.pathname.endsWith("/transitions"),
    (route) => held.push(route),
  );
  await ada.getByTestId("status").selectOption("resolved");
  const button = ada.getByTestId("change-status");
  await button.click();
  await button.filter({ hasText: "Changing…" }).waitFor();
  await button.press("Enter");
  await ada.getByTestId("reason").press("Enter");
  assert.equal(held.length, 1);
  await held[0].continue();
  await waitForHistory(ada, "to “Resolved”");
  await button.waitFor({ state: "detached" });
  assert.equal(held.length, 1);
  assert.equal(await ada.getByTestId("facts-problem").count(), 0);
});

/** A page without anybody, on a server that hands out no tokens, and a way to sign in there. */
async function production() {
  const page = await deskOf("noor");
  await page.getByTestId("sign-out").click();
  await page.route("**/healthz", (route) => route.fulfill({ json: { development: false } }));
  const signIn = async (person = { sub: "zoe", name: "Zoë Zimmer" }) => {
    await page.getByTestId("token").fill(sign({ role: "agent", ...person }));
    await page.getByTestId("sign-in-token").click();
    await waitForConnection(page, "connected");
  };
  return { page, signIn };
}

test("who has to sign in again finds what they have written", async () => {
  const { page, signIn } = await production();
  const sockets = [];
  await page.routeWebSocket(/\/socket/, (socket) => {
    sockets.push(socket);
    socket.connectToServer();
  });
  await page.goto(server.url);
  await signIn();
  await createTicket(page, freshTitle("Signed in twice"));
  await say(page, "As I said");
  await page.getByTestId("comments").getByText("Zoë Zimmer").waitFor();
  await page.getByTestId("composer").fill("Half a sente");
  await sockets.at(-1).close({ code: 4401, reason: '{"code":"token_expired"}' });
  await waitForConnection(page, "closed");
  await page.getByTestId("connection").filter({ hasText: "The token has expired" }).waitFor();
  // In sight of who writes at the end of the page.
  await page.getByTestId("sign-in-again").waitFor();
  const { y } = await page.getByTestId("connection").boundingBox();
  const { height } = page.viewportSize();
  assert.ok(y >= 0 && y < height, `the pill is at ${y} px`);
  await page.getByTestId("sign-in-again").press("Enter");
  await page.getByText("Sign in again, Zoë Zimmer").waitFor();
  await signIn();
  await heading(page, "Signed in twice").waitFor();
  assert.equal(await page.getByTestId("composer").inputValue(), "Half a sente");

  // It is theirs alone: who signs in there in their place finds nothing of it.
  await sockets.at(-1).close({ code: 4401, reason: '{"code":"token_expired"}' });
  await page.getByTestId("sign-in-again").press("Enter");
  await signIn({ sub: "yan", name: "Yan" });
  await heading(page, "Signed in twice").waitFor();
  assert.equal(await page.getByTestId("composer").inputValue(), "");
  const kept = await page.evaluate(() => Object.values(sessionStorage));
  assert.ok(!kept.some((text) => text.includes("Half a sente")));
});

test("who comes back with a token that is not accepted any more signs in again, and loses nothing", async () => {
  const { page, signIn } = await production();
  await page.goto(server.url);
  await signIn();
  await createTicket(page, freshTitle("Refused meanwhile"));
  await page.getByTestId("composer").fill("Half a sente");
  // As after another secret: this machine cannot tell such a refusal from a server that is away.
  await page.evaluate(() => {
    const key = "penholder:console:person";
    const remembered = JSON.parse(sessionStorage.getItem(key));
    const [head, claims] = remembered.token.split(".");
    const token = `${head}.${claims}.${"A".repeat(43)}`;
    sessionStorage.setItem(key, JSON.stringify({ ...remembered, token }));
  });
  await page.reload();
  await page.getByTestId("sign-in-again").click();
  await signIn();
  await heading(page, "Refused meanwhile").waitFor();
  assert.equal(await page.getByTestId("composer").inputValue(), "Half a sente");
});

test("who is refused after a restart with another secret is told so without a reload, and loses nothing", async () => {
  const { page, signIn } = await production();
  await page.goto(server.url);
  await signIn();
  await createTicket(page, freshTitle("Another secret"));
  await page.getByTestId("composer").fill("Half a sente");
  await page.getByTestId("description-field").fill("Half a description");
  const { secret } = server;
  await server.kill();
  await waitForConnection(page, "reconnecting");
  server.secret = "another secret of the browser tests, 32 bytes or more";
  await server.start();
  await page.getByTestId("connection").filter({ hasText: "not accepted any more" }).waitFor();
  await page.getByTestId("sign-in-again").waitFor();
  // With the old one back, nobody has to sign in.
  await server.kill();
  server.secret = secret;
  await server.start();
  await waitForConnection(page, "connected");
  await page.getByTestId("sign-in-again").waitFor({ state: "detached" });
  assert.equal(await page.getByTestId("composer").inputValue(), "Half a sente");
  await waitForValue(page, "description-field", "Half a description");
});

test("who is refused by a request signs in again without a reload, and finds what they have begun", async () => {
  const { page, signIn } = await production();
  await page.goto(server.url);
  await signIn();
  await createTicket(page, freshTitle("Refused by a request"));
  // As when the token is struck while the socket is not heard yet.
  const refusal = { code: "invalid_token", message: "No." };
  await page.route("**/v1/**", (route) => route.fulfill({ status: 401, json: refusal }));
  await page.getByTestId("composer").fill("Half a sente");
  await page.getByTestId("send").click();
  await page.getByTestId("connection").filter({ hasText: "not accepted any more" }).waitFor();
  await page.getByText("Sign in again: what you have written is kept.").waitFor();
  await waitForConnection(page, "connected");
  await page.getByTestId("sign-in-again").click();
  await page.getByText("Sign in again, Zoë Zimmer").waitFor();
  await page.unroute("**/v1/**");
  await signIn();
  await heading(page, "Refused by a request").waitFor();
  assert.equal(await page.getByTestId("composer").inputValue(), "Half a sente");
  await page.getByTestId("send").click();
  await waitForComment(page, "Half a sente");
});
