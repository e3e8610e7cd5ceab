/** The pen between two people, in real browsers against the real server. */
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import {
  enter,
  launch,
  openPage,
  overflow,
  picture,
  Server,
  waitForBanner,
  waitForMember,
} from "./harness.mjs";

let server;
let browser;
let pages = [];

before(async () => {
  server = await Server.create();
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.remove();
});

afterEach(async () => {
  const problems = pages.flatMap((opened) => opened.problems);
  for (const { context } of pages) await context.close();
  pages = [];
  assert.deepEqual(problems, []);
});

async function enterAs(person, topic, options) {
  const opened = await openPage(browser, server, { reducedMotion: "reduce", ...options });
  pages.push(opened);
  await enter(opened.page, server, person, topic);
  return opened.page;
}

async function waitForPen(page, text) {
  await page.getByTestId("pen-text").filter({ hasText: text }).waitFor();
}

function isEditable(page) {
  return page.getByTestId("document").isEditable();
}

/** Ada writes, and Bruno sees that she has the pen. */
async function adaWrites(topic, { viewport } = {}) {
  const ada = await enterAs("ada", topic, { colorScheme: "dark", viewport });
  await waitForBanner(ada, "You can edit");
  const bruno = await enterAs("bruno", topic, { colorScheme: "light", viewport });
  await waitForPen(bruno, "Nobody has the pen.");
  await ada.getByTestId("document").fill("What Ada wrote");
  await waitForPen(ada, "You have the pen since");
  await waitForPen(bruno, "Ada Okafor has the pen since");
  await waitForMember(bruno, "ada", { pen: "true", prior: "true" });
  return { ada, bruno };
}

test("who types takes the pen; who asks for it is handed it", async () => {
  const { ada, bruno } = await adaWrites("demo:ticket-1042");
  assert.equal(await isEditable(bruno), false);
  const top = (page) => page.getByTestId("document").boundingBox();
  const before = [await top(ada), await top(bruno)];
  await bruno.getByTestId("pen-ask").click();
  await waitForPen(bruno, "You have asked for it.");
  await bruno.getByTestId("seconds-left").waitFor();
  await ada.getByTestId("pen-request").filter({ hasText: "Bruno Salas asks" }).waitFor();
  assert.deepEqual([await top(ada), await top(bruno)], before, "nothing has moved the text");
  await picture(ada, "pen-asked-dark");
  await picture(bruno, "pen-asks-light");

  await ada.getByTestId("pen-decline").click();
  await waitForPen(bruno, "Ada Okafor goes on writing.");
  await bruno.getByTestId("pen-ask").click();
  await ada.getByTestId("pen-request").filter({ hasText: "Bruno Salas asks" }).waitFor();
  await ada.getByTestId("pen-hand-over").click();
  await waitForPen(bruno, "You have the pen since");
  await waitForPen(ada, "Bruno Salas has the pen since");
  await waitForBanner(bruno, "Ada Okafor has edit priority, which only advises.");
  await waitForBanner(ada, "Bruno Salas has the pen, so you can't edit this ticket now.");
  assert.equal(await isEditable(bruno), true);
  assert.equal(await isEditable(ada), false);

  await bruno.getByTestId("pen-release").click();
  await waitForPen(ada, "Nobody has the pen.");
  assert.equal(await isEditable(ada), true);
});

test("a take-over leaves the loser their text as a draft, over a reload too", async () => {
  const { ada, bruno } = await adaWrites("demo:ticket-1043");
  await bruno.getByTestId("pen-take-over").click();
  await waitForPen(bruno, "It is being taken over.");
  await waitForPen(ada, "Somebody takes it over.");
  await ada.getByTestId("document").fill("What Ada wrote to the end");
  await picture(ada, "pen-draining-dark");
  await waitForPen(bruno, "You have the pen since");
  await ada.getByTestId("pen-draft").filter({ hasText: "Your draft of" }).waitFor();
  assert.equal(await ada.getByTestId("draft-restore").isDisabled(), true);
  assert.doesNotMatch(await ada.getByTestId("document").inputValue(), /What Ada wrote/);
  await picture(ada, "pen-lost-dark");

  await ada.reload();
  await ada.getByTestId("pen-draft").filter({ hasText: "Your draft of" }).waitFor();
  await bruno.getByTestId("pen-release").click();
  await waitForPen(ada, "Nobody has the pen.");
  await ada.getByTestId("draft-restore").click();
  await waitForPen(ada, "You have the pen since");
  assert.equal(await ada.getByTestId("document").inputValue(), "What Ada wrote to the end");
  await ada.getByTestId("pen-draft").waitFor({ state: "detached" });
  await waitForPen(bruno, "Ada Okafor has the pen since");
});

test("who may not take over is not offered it, and whoever waits gets what is released", async () => {
  const { ada } = await adaWrites("demo:ticket-1044");
  const tomas = await enterAs("tomas", "demo:ticket-1044");
  await waitForPen(tomas, "Ada Okafor has the pen");
  assert.equal(await tomas.getByTestId("pen-take-over").count(), 0);
  await tomas.getByTestId("pen-wait").click();
  await waitForPen(tomas, "You are the next.");
  await ada.getByTestId("pen-request").filter({ hasText: "Tomas Novak waits" }).waitFor();
  await ada.getByTestId("pen-release").click();
  await waitForPen(tomas, "You have the pen since");
});

test("the pen fits a window of 375 px", async () => {
  const viewport = { width: 375, height: 900 };
  const { ada, bruno } = await adaWrites("demo:article-7", { viewport });
  const height = async () => (await bruno.getByTestId("pen").boundingBox()).height;
  const before = await height();
  await bruno.getByTestId("pen-ask").click();
  await ada.getByTestId("pen-request").filter({ hasText: "asks" }).waitFor();
  await waitForPen(bruno, "You have asked");
  assert.equal(await height(), before);
  for (const page of [ada, bruno]) {
    assert.equal(await overflow(page), 0);
    await page.getByTestId("pen").scrollIntoViewIfNeeded();
  }
  await ada.getByTestId("pen-request").scrollIntoViewIfNeeded();
  await picture(ada, "pen-narrow-dark");
  await picture(bruno, "pen-narrow-light");
});
