/** The pen between two people, in real browsers against the real server. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import {
  enter,
  Line,
  overflow,
  picture,
  stage,
  waitForBanner,
  waitForMember,
  waitForPen,
} from "./harness.mjs";

const { server, open } = await stage();

async function enterAs(person, topic, options, by = server) {
  const page = await open(by, { reducedMotion: "reduce", ...options });
  await enter(page, by, person, topic);
  return page;
}

function isEditable(page) {
  return page.getByTestId("document").isEditable();
}

async function waitForText(page, text) {
  const field = page.getByTestId("document");
  await page.waitForFunction(
    ([area, is]) => area.value === is,
    [await field.elementHandle(), text],
  );
}

async function waitForTitle(page, text) {
  await page.waitForFunction((words) => document.title.includes(words), text);
}

/** That it can be seen without scrolling: that it is in the page is not enough. */
async function assertInSight(page, testId) {
  const { y, height } = await page.getByTestId(testId).boundingBox();
  assert.ok(y >= 0 && y + height <= page.viewportSize().height, `${testId} is at ${y}`);
}

/** What a screen reader adds to the name of a field. */
function description(field) {
  return field.evaluate((element) =>
    element
      .getAttribute("aria-describedby")
      .split(" ")
      .map((id) => document.getElementById(id).textContent)
      .join(" "),
  );
}

function focusIsIn(page, testId) {
  return page.getByTestId(testId).evaluate((element) => element.contains(document.activeElement));
}

/** Ada writes, and Bruno sees that she has the pen. */
async function adaWrites(topic, { viewport, by } = {}) {
  const ada = await enterAs("ada", topic, { colorScheme: "dark", viewport }, by);
  await waitForBanner(ada, "You can edit");
  const bruno = await enterAs("bruno", topic, { colorScheme: "light", viewport });
  await waitForPen(bruno, "Nobody has the pen.");
  await ada.getByTestId("document").fill("What Ada wrote");
  await waitForPen(ada, "You have the pen since");
  await waitForPen(bruno, "Ada Okafor has the pen since");
  await waitForMember(bruno, "ada", { pen: "true", prior: "true" });
  return { ada, bruno };
}

test("a free pen is whose who types, whoever has edit priority", async () => {
  const topic = "demo:ticket-1050";
  const ada = await enterAs("ada", topic);
  await waitForBanner(ada, "You can edit");
  const bruno = await enterAs("bruno", topic);
  await waitForMember(bruno, "ada", { prior: "true" });
  await waitForBanner(bruno, "You can edit this ticket. Ada Okafor has edit priority.");
  await waitForBanner(bruno, "whoever types first gets it");
  assert.equal(await isEditable(bruno), true);
  await bruno.getByTestId("document").press("End");
  await bruno.keyboard.type("!");
  await waitForPen(ada, "Bruno Salas has the pen since");
  await waitForPen(bruno, "You have the pen since");
  await waitForBanner(bruno, "Ada Okafor has edit priority, which only advises.");
  await waitForBanner(ada, "Bruno Salas has the pen, so you can't edit this ticket now.");
  await waitForBanner(ada, "You have edit priority, which only advises.");
  assert.deepEqual([await isEditable(ada), await isEditable(bruno)], [false, true]);

  await bruno.getByTestId("pen-release").click();
  await waitForPen(ada, "Nobody has the pen.");
  assert.deepEqual([await isEditable(ada), await isEditable(bruno)], [true, true]);
});

test("who asks for the pen is seen by the holder, over a reload too, and handed it", async () => {
  const { ada, bruno } = await adaWrites("demo:ticket-1042");
  assert.equal(await isEditable(bruno), false);
  const top = (page) => page.getByTestId("document").boundingBox();
  const before = [await top(ada), await top(bruno)];
  const takeOver = () => bruno.getByTestId("pen-take-over").boundingBox();
  const apart = await takeOver();
  await bruno.getByTestId("pen-ask").click();
  await waitForPen(bruno, "You have asked.");
  await bruno.getByTestId("seconds-left").waitFor();
  await waitForPen(ada, "Bruno Salas asks for the pen.");
  assert.deepEqual([await top(ada), await top(bruno)], before, "nothing has moved the text");
  assert.deepEqual(await takeOver(), apart, "nor brought another button under a second click");
  await waitForTitle(ada, "Bruno Salas asks for the pen");
  for (const button of ["pen-hand-over", "pen-decline"]) await assertInSight(ada, button);
  await picture(ada, "pen-asked-dark");
  await picture(bruno, "pen-asks-light");

  await ada.reload();
  await waitForPen(ada, "Bruno Salas asks for the pen.");
  await assertInSight(ada, "pen-hand-over");
  await ada.getByTestId("pen-decline").click();
  await waitForPen(bruno, "Ada Okafor goes on writing.");
  await bruno.getByTestId("pen-ask").click();
  await waitForPen(ada, "Bruno Salas asks for the pen.");
  await ada.getByTestId("pen-hand-over").click();
  await waitForPen(bruno, "You have the pen since");
  await waitForPen(ada, "Bruno Salas has the pen since");
});

test("a request is answered by the keyboard alone, in words that a screen reader has", async () => {
  const { ada, bruno } = await adaWrites("demo:ticket-1051");
  const strip = (page) => page.getByRole("region", { name: "Pen", exact: true });
  await strip(bruno).getByRole("button", { name: "Ask" }).press("Enter");
  await strip(bruno).getByRole("status").filter({ hasText: "You have asked." }).waitFor();
  assert.equal(await focusIsIn(bruno, "pen"), true);
  assert.match(
    await description(bruno.getByRole("textbox", { name: "Document" })),
    /Ada Okafor has/,
  );
  await strip(ada).getByRole("status").filter({ hasText: "asks for the pen" }).waitFor();
  await ada.getByRole("textbox", { name: "Document" }).focus();
  await ada.keyboard.press("Shift+Tab");
  await ada.keyboard.press("Enter");
  await waitForPen(bruno, "Ada Okafor goes on writing.");
  assert.equal(await focusIsIn(ada, "pen"), true);
});

test("who closes the laptop finds the pen as it was, and what they wrote meanwhile", async () => {
  const line = await Line.to(server);
  after(() => line.close());
  const { ada, bruno } = await adaWrites("demo:ticket-1052", { by: line });
  line.cut();
  await waitForPen(bruno, "Their connection is lost. It is kept for them for");
  await waitForPen(ada, "You had the pen.");
  await waitForPen(ada, "What you write stays in this tab.");
  await ada.getByTestId("document").fill("Written on the train");
  line.mend();
  await waitForPen(ada, "You have the pen since");
  await waitForMember(bruno, "ada", { pen: "true", status: "active" });
  await bruno.getByTestId("pen").and(bruno.locator('[data-state="held"]')).waitFor();
  assert.equal(await ada.getByTestId("document").inputValue(), "Written on the train");
});

test("who loses the pen while away is offered what they wrote, and no text is lost over it", async () => {
  const line = await Line.to(server);
  after(() => line.close());
  const { ada, bruno } = await adaWrites("demo:ticket-1054", { by: line });
  const text = ada.getByTestId("document");
  line.cut();
  await waitForPen(bruno, "Their connection is lost.");
  await text.fill("Written on the train");
  await bruno.getByTestId("pen-take-over").click();
  await waitForPen(bruno, "You have the pen since");
  line.mend();
  await ada.getByTestId("pen-draft").filter({ hasText: "Your draft of" }).waitFor();
  assert.doesNotMatch(await text.inputValue(), /train/);
  assert.equal(await isEditable(ada), false);

  await bruno.getByTestId("pen-release").click();
  await waitForPen(ada, "Nobody has the pen.");
  await text.fill("Written anew");
  await waitForPen(ada, "You have the pen since");
  await ada.getByTestId("draft-restore").click();
  await waitForText(ada, "Written on the train");
  await ada.getByTestId("draft-restore").click();
  await waitForText(ada, "Written anew");
});

test("who reloads while somebody else has got the pen is offered what they wrote", async () => {
  const { ada, bruno } = await adaWrites("demo:ticket-1055");
  await ada.goto("about:blank");
  await bruno.getByTestId("pen-take-over").click();
  await waitForPen(bruno, "You have the pen since");
  await ada.goBack();
  await ada.getByTestId("pen-draft").filter({ hasText: "Your draft of" }).waitFor();
  assert.doesNotMatch(await ada.getByTestId("document").inputValue(), /What Ada wrote/);
});

test("the pen moves to the other tab of its holder when they say so", async () => {
  const { ada } = await adaWrites("demo:ticket-1053");
  const second = await enterAs("ada", "demo:ticket-1053");
  await waitForPen(second, "You have the pen in another tab since");
  await waitForBanner(second, "You have the pen in your other tab, “");
  assert.equal(await isEditable(second), false);
  await second.getByTestId("pen-move").click();
  await waitForPen(second, "You have the pen since");
  await waitForPen(ada, "You have the pen in another tab since");
  assert.deepEqual([await isEditable(ada), await isEditable(second)], [false, true]);
  const here = second.getByTestId("own-tabs").locator("li").filter({ hasText: "This tab" });
  await here.filter({ hasText: "Has the pen" }).waitFor();
  // What the first tab had not saved comes along.
  await second.getByTestId("draft-restore").click();
  await waitForText(second, "What Ada wrote");
  await ada.getByTestId("pen-draft").waitFor({ state: "detached" });
});

test("a take-over leaves the loser their text as a draft, over a reload too", async () => {
  const { ada, bruno } = await adaWrites("demo:ticket-1043");
  await bruno.getByTestId("pen-take-over").click();
  await waitForPen(bruno, "You get it in");
  await waitForPen(ada, "Bruno Salas takes over the pen.");
  await ada.getByTestId("document").fill("What Ada wrote to the end");
  await picture(ada, "pen-draining-dark");
  await waitForPen(bruno, "You have the pen since");
  await ada.getByTestId("pen-draft").filter({ hasText: "Your draft of" }).waitFor();
  await assertInSight(ada, "draft-restore");
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
  await waitForPen(ada, "Tomas Novak waits for it.");
  await ada.getByTestId("pen-release").click();
  await waitForPen(tomas, "You have the pen since");
});

test("the pen fits a window of 375 px", async () => {
  const viewport = { width: 375, height: 900 };
  const { ada, bruno } = await adaWrites("demo:article-7", { viewport });
  const height = async () => (await bruno.getByTestId("pen").boundingBox()).height;
  const before = await height();
  await bruno.getByTestId("pen-ask").click();
  await waitForPen(ada, "Bruno Salas asks for the pen.");
  await waitForPen(bruno, "You have asked");
  assert.equal(await height(), before);
  for (const page of [ada, bruno]) {
    assert.equal(await overflow(page), 0);
    await page.getByTestId("pen").scrollIntoViewIfNeeded();
  }
  await picture(ada, "pen-narrow-dark");
  await picture(bruno, "pen-narrow-light");
});
