/** The console in real browsers against the real server. */
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import {
  enter,
  overflow,
  picture,
  sign,
  stage,
  waitForBanner,
  waitForConnection,
  waitForMember,
} from "./harness.mjs";

const { server, open } = await stage();
/** A topic of its own for each test: what is left of one is none of the next one's business. */
let topic;
let count = 0;

beforeEach(() => {
  count += 1;
  topic = `demo:ticket-t${count}`;
});

function newPage(options) {
  return open(server, options);
}

async function enterAs(person, options) {
  const page = await newPage(options);
  await enter(page, server, person, topic);
  return page;
}

test("two people see each other, and the priority passes on when the first leaves", async () => {
  const ada = await enterAs("ada");
  await waitForBanner(ada, "You can edit this ticket.");
  const bruno = await enterAs("bruno");
  await waitForMember(ada, "bruno", { status: "active", prior: "false" });
  await waitForMember(bruno, "ada", { status: "active", prior: "true" });
  await waitForBanner(bruno, "Ada Okafor has edit priority.");

  await ada.getByTestId("close-topic").click();
  await waitForMember(bruno, "bruno", { prior: "true" });
  await waitForBanner(bruno, "Nobody else is here.");
  assert.equal(await bruno.getByTestId("member-ada").count(), 0);
});

test("a window that is closed without a goodbye counts until the grace period ends", async () => {
  const ada = await enterAs("ada");
  const bruno = await enterAs("bruno");
  await waitForMember(bruno, "ada", { prior: "true" });
  await ada.close();
  await waitForMember(bruno, "ada", { status: "reconnecting" });
  await waitForBanner(bruno, "Ada Okafor has edit priority.");
  await bruno.getByTestId("member-ada").waitFor({ state: "detached", timeout: 20_000 });
  await waitForBanner(bruno, "Nobody else is here.");
});

test("what one does, the other sees: editing, typing, unsaved text", async () => {
  const ada = await enterAs("ada");
  const bruno = await enterAs("bruno");
  await waitForBanner(ada, "You can edit");
  await ada.getByTestId("document").focus();
  await waitForMember(bruno, "ada", { activity: "editing" });
  await ada.keyboard.type("Hello");
  await waitForMember(bruno, "ada", { activity: "typing" });
  await bruno.getByTestId("member-ada").filter({ hasText: "unsaved" }).waitFor();
  await ada.getByTestId("discard").click();
  // The focus goes back to the field, and who is there is editing.
  await ada.getByTestId("document").blur();
  await waitForMember(bruno, "ada", { activity: "viewing" });
  await bruno.getByTestId("member-ada").filter({ hasNotText: "unsaved" }).waitFor();
});

test("a reload within the grace period is not seen by the other", async () => {
  const ada = await enterAs("ada");
  const bruno = await enterAs("bruno");
  await waitForMember(ada, "bruno");
  await ada.evaluate(() => {
    const isThere = () => document.querySelector('[data-testid="member-bruno"]') !== null;
    window.absences = 0;
    new MutationObserver(() => {
      if (!isThere()) window.absences += 1;
    }).observe(document.body, { subtree: true, childList: true, attributes: true });
  });
  const since = await bruno.getByTestId("member-bruno").textContent();
  for (let round = 0; round < 3; round += 1) {
    await bruno.reload();
    await waitForMember(bruno, "bruno", { status: "active" });
    await waitForBanner(bruno, "Ada Okafor has edit priority.");
    await waitForMember(ada, "bruno", { status: "active" });
  }
  assert.equal(await bruno.getByTestId("member-bruno").textContent(), since);
  assert.equal(await ada.evaluate(() => window.absences), 0);
});

test("the first keeps the priority over a reload", async () => {
  const ada = await enterAs("ada");
  const bruno = await enterAs("bruno");
  await waitForMember(bruno, "ada", { prior: "true" });
  await ada.reload();
  await waitForBanner(ada, "You can edit this ticket.");
  await waitForMember(bruno, "ada", { prior: "true", status: "active" });
});

test("both come back by themselves after the server was killed and started again", async () => {
  const ada = await enterAs("ada");
  const bruno = await enterAs("bruno");
  await waitForMember(ada, "bruno");
  await server.kill();
  await Promise.all([ada, bruno].map((page) => waitForConnection(page, "reconnecting")));
  await waitForMember(ada, "bruno");
  await server.start();
  await Promise.all([ada, bruno].map((page) => waitForConnection(page, "connected")));
  await waitForMember(ada, "bruno", { status: "active", prior: "false" });
  await waitForMember(bruno, "ada", { status: "active", prior: "true" });
  await waitForBanner(ada, "You can edit this ticket.");
  await waitForBanner(bruno, "Ada Okafor has edit priority.");
});

test("a restart of the server is announced, and nobody loses their place", async () => {
  const ada = await enterAs("ada");
  const bruno = await enterAs("bruno");
  await waitForMember(bruno, "ada", { prior: "true" });
  const stopped = server.stop();
  await ada.getByTestId("connection").filter({ hasText: "Server is restarting" }).waitFor();
  await stopped;
  await server.start();
  await Promise.all([ada, bruno].map((page) => waitForConnection(page, "connected")));
  await waitForMember(ada, "bruno", { status: "active", prior: "false" });
  await waitForMember(bruno, "ada", { status: "active", prior: "true" });
});

test("a second tab of the same person is told which tab has the priority", async () => {
  const first = await enterAs("ada");
  await waitForBanner(first, "You can edit");
  // Opened by a script, a tab gets a copy of the first's sessionStorage, as a duplicated one does.
  const opened = first.waitForEvent("popup");
  await first.evaluate(() => void window.open(location.href));
  const second = await opened;
  await waitForBanner(second, "Your other tab, “");
  const banner = await second.getByTestId("banner-text").textContent();
  const [, name] = /“(.+?)”/.exec(banner) ?? [];
  await first.waitForFunction((tab) => document.title.startsWith(tab), name);
  await waitForBanner(first, "You can edit");
  await first.getByTestId("close-topic").click();
  await waitForBanner(second, "Nobody else is here.");
});

test("a viewer and an invisible guest are in nobody's way", async () => {
  const ada = await enterAs("ada");
  await ada.getByTestId("mode-view").check({ force: true });
  await waitForBanner(ada, "You are viewing this ticket.");
  const bruno = await enterAs("bruno");
  await waitForBanner(bruno, "You can edit this ticket.");
  await waitForMember(bruno, "ada", { prior: "false" });
  await bruno.getByTestId("member-ada").filter({ hasText: "View only" }).waitFor();
  await ada.getByTestId("invisible").check({ force: true });
  await bruno.getByTestId("member-ada").waitFor({ state: "detached" });
  await waitForBanner(ada, "You are watching unseen.");
  await waitForMember(ada, "bruno");
});

test("the list shows who is on each topic, live", async () => {
  const ada = await newPage();
  await ada.goto(`${server.url}/?topics&as=ada`);
  await ada.getByTestId("welcome").waitFor();
  const bruno = await newPage();
  await enter(bruno, server, "bruno", "demo:ticket-1043");
  const present = ada.getByTestId("present-demo:ticket-1043");
  await present.filter({ hasText: "Bruno Salas" }).waitFor();
  await bruno.getByTestId("close-topic").click();
  await present.waitFor({ state: "detached" });
});

test("a name that is no topic is refused with the reason", async () => {
  const page = await newPage();
  await page.goto(`${server.url}/?topics&as=ada`);
  await page.getByTestId("open-topic-name").fill("doc::1");
  await page.getByTestId("open-topic-submit").click();
  await page.getByTestId("open-topic-error").filter({ hasText: "nothing between" }).waitFor();
  await page.getByTestId("open-topic-name").fill("doc:1");
  await page.getByTestId("open-topic-submit").click();
  await page.getByTestId("topic-title").filter({ hasText: "doc:1" }).waitFor();
});

test("the event tail shows frames, filters them and hides tokens", async () => {
  const page = await enterAs("ada");
  await page.getByTestId("event-tail").locator("> summary").click();
  const events = page.getByTestId("events");
  await events.filter({ hasText: "phx_join" }).waitFor();
  // The click that opened the list was the input of a person.
  await events.filter({ hasText: '{"input":true}' }).waitFor();
  const text = await events.textContent();
  assert.match(text, /presence_state/);
  assert.match(text, /"resume":"\(hidden\)"/);
  await page.getByTestId("events-filter").fill("presence_state");
  await events.locator("li").filter({ hasText: "phx_join" }).waitFor({ state: "detached" });
  assert.equal(await events.locator("li").count(), 1);
});

test("where no demo tokens are handed out, a pasted token signs in", async () => {
  const query = new URLSearchParams({ user: "kim", name: "Kim", role: "agent", kind: "human" });
  const { token } = await (await fetch(`${server.url}/dev/token?${query}`)).json();
  const page = await newPage();
  await page.route("**/healthz", (route) => route.fulfill({ json: { development: false } }));
  await page.goto(server.url);
  await page.getByTestId("token").fill("no token at all");
  await page.getByTestId("sign-in-token").click();
  await page.locator('[data-testid="token"][aria-invalid="true"]').waitFor();
  await page.getByTestId("token").fill(token);
  await page.getByTestId("sign-in-token").click();
  await page.getByTestId("signed-in-as").filter({ hasText: "Kim" }).waitFor();
  await waitForConnection(page, "connected");
});

test("who may view only some topics sees who is there, and no demo topics", async () => {
  const doc = `doc:t${count}`;
  const mei = await newPage();
  await enter(mei, server, "mei", doc);
  await enterAs("bruno");
  const page = await newPage();
  await page.route("**/healthz", (route) => route.fulfill({ json: { development: false } }));
  await page.goto(`${server.url}/?topics`);
  const token = sign({ sub: "kim", name: "Kim", topics: { "doc:*": ["view"] } });
  await page.getByTestId("token").fill(token);
  await page.getByTestId("sign-in-token").click();
  await page.getByTestId("signed-in-as").filter({ hasText: "Kim" }).waitFor();
  const present = page.getByTestId(`present-${doc}`);
  await present.filter({ hasText: "Mei" }).waitFor();
  assert.equal(await page.locator('[data-testid^="topic-demo:"]').count(), 0);

  await page.getByTestId(`topic-${doc}`).click();
  await waitForMember(page, "mei", { status: "active", prior: "true" });
  await waitForBanner(page, "You are viewing");
  await waitForMember(mei, "kim", { prior: "false" });
  await present.filter({ hasText: "Kim" }).waitFor();
  await mei.getByTestId("close-topic").click();
  await present.filter({ hasNotText: "Mei" }).waitFor();
  assert.equal(await page.locator('[data-testid^="topic-demo:"]').count(), 0);
});

test("everything can be reached by the keyboard alone", async () => {
  const page = await newPage();
  await page.goto(`${server.url}/?topics`);
  await page.getByTestId("sign-in-ada").waitFor();
  await page.keyboard.press("Tab");
  assert.equal(await focused(page), "sign-in-ada");
  await page.keyboard.press("Enter");
  await page.getByTestId("welcome").waitFor();
  await tabTo(page, "topic-demo:ticket-1044");
  await page.keyboard.press("Enter");
  await waitForMember(page, "ada");
  assert.equal(await focused(page), "topic-title");
  await tabTo(page, "close-topic");
  await tabTo(page, "mode-edit");
  await page.keyboard.press("ArrowRight");
  await waitForBanner(page, "You are viewing");
  await page.keyboard.press("ArrowLeft");
  await waitForBanner(page, "You can edit");
  await tabTo(page, "certainty");
  await page.getByRole("tooltip").waitFor({ state: "visible" });
  await page.keyboard.press("Escape");
  await page.getByRole("tooltip").waitFor({ state: "hidden" });
  await tabTo(page, "document");
  await page.keyboard.type("By keyboard");
  await waitForMember(page, "ada", { activity: "typing" });
  await tabTo(page, "snippet");
});

test("the skip link leads past the list", async () => {
  const page = await enterAs("ada");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await tabTo(page, "close-topic", 1);
});

for (const colorScheme of ["light", "dark"]) {
  test(`nothing overflows a window of 360 px, ${colorScheme}`, async () => {
    const viewport = { width: 360, height: 740 };
    const page = await newPage({ viewport, colorScheme });
    await page.goto(`${server.url}/?topics`);
    await page.getByTestId("sign-in-ada").waitFor();
    assert.equal(await overflow(page), 0);
    await picture(page, `narrow-sign-in-${colorScheme}`);
    await page.getByTestId("sign-in-ada").click();
    await page.getByTestId("welcome").waitFor();
    assert.equal(await overflow(page), 0);
    await page.getByTestId("open-topic-name").fill(`doc:${"long".repeat(40)}`);
    await page.getByTestId("open-topic-submit").click();
    await waitForMember(page, "ada");
    await page.getByTestId("snippet").click();
    await page.getByTestId("event-tail").locator("> summary").click();
    await page.getByTestId("events").filter({ hasText: "phx_join" }).waitFor();
    assert.equal(await overflow(page), 0);
    await picture(page, `narrow-topic-${colorScheme}`);
  });
}

/** The `data-testid` of the element that has the focus. */
function focused(page) {
  return page.evaluate(() => document.activeElement?.getAttribute("data-testid"));
}

/** Presses Tab until `testId` has the focus; fails when it is not among the next `limit` stops. */
async function tabTo(page, testId, limit = 25) {
  for (let press = 0; press < limit; press += 1) {
    await page.keyboard.press("Tab");
    if ((await focused(page)) === testId) return;
  }
  assert.fail(`Tab did not reach ${testId}`);
}
