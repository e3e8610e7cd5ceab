/** Pictures of the desk, of a server on which nobody else has been. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { test } from "node:test";
import { openPage, picture, stage, waitForPen } from "./harness.mjs";

const TITLE = "Invoice 48213 shows the wrong currency";
const DESCRIPTION =
  "Our invoice 48213 is in US dollars, but we have a contract in euros. Our accounting cannot book it like this. Could you correct it and send a new copy?";

const { server, browser } = await stage();

/** Runs `penholder seed` to its end. */
async function seed(tickets) {
  const options = ["--url", server.url, "--tickets", String(tickets)];
  const child = spawn(process.env.PENHOLDER_BIN, ["seed", ...options], { stdio: "inherit" });
  const [code] = await once(child, "exit");
  assert.equal(code, 0);
}

test("two agents on one ticket, one of whom has the pen, in light and dark", async () => {
  await seed(40);
  // Still pictures: an animation would make each run's differ. As wide as can be read where the
  // README shows it, as high as the text, and sharp on a dense screen.
  const look = {
    viewport: { width: 1280, height: 900 },
    deviceScaleFactor: 2,
    reducedMotion: "reduce",
    locale: "en-GB",
  };
  const open = async (person, colorScheme, path) => {
    const { page } = await openPage(browser, server, { ...look, colorScheme });
    await page.goto(`${server.url}/?as=${person}${path}`);
    await page.locator('[data-row="ticket"]').first().waitFor();
    return page;
  };
  const tomas = await open("tomas", "light", "");
  await tomas.getByTestId("new-ticket").click();
  await tomas.getByTestId("new-title").fill(TITLE);
  await tomas.getByTestId("new-description").fill(DESCRIPTION);
  await tomas.getByTestId("new-category").selectOption("billing");
  await tomas.getByTestId("new-submit").click();
  await tomas.getByTestId("ticket-heading").filter({ hasText: TITLE }).waitFor();
  const id = new URL(tomas.url()).searchParams.get("ticket");
  const mei = await open("mei", "light", "");
  await mei.locator('[data-row="ticket"]').nth(2).click();
  await mei.getByTestId("description-field").waitFor();
  const ada = await open("ada", "dark", `&ticket=${id}`);
  const bruno = await open("bruno", "light", `&ticket=${id}`);
  const say = async (page, text, isNote = false) => {
    if (isNote) await page.getByTestId("as-note").check({ force: true });
    await page.getByTestId("composer").fill(text);
    await page.getByTestId("send").click();
    for (const other of isNote ? [ada, bruno] : [ada, bruno, tomas]) {
      await other.getByTestId("comments").locator("li").filter({ hasText: text }).waitFor();
    }
  };
  await ada.getByTestId("assignee").click();
  await ada.getByTestId("option-ada").click();
  await bruno.locator('[data-testid="history"] [data-type="assignee"]').waitFor();
  await say(ada, "Is it only this invoice, or were the ones before wrong too?");
  await say(tomas, "Only this one. The one of last month was fine.");
  await say(ada, "Taken from the old contract. Credit note goes out tonight.", true);
  await ada.getByTestId("description-field").focus();
  await ada.keyboard.press("Control+End");
  await ada.keyboard.type(" Thank you.");
  await waitForPen(ada, "You have the pen since");
  await waitForPen(bruno, "Ada Okafor has the pen since");
  for (const button of ["pen-ask", "pen-take-over"]) await bruno.getByTestId(button).waitFor();
  for (const page of [ada, bruno]) {
    const row = page.getByTestId(`ticket-${id}`);
    await row.getByTestId("row-pen").filter({ hasText: "Ada Okafor" }).waitFor();
    await row.filter({ hasText: "BS" }).waitFor();
    await page.locator('[data-row="ticket"]').filter({ hasText: "MT" }).waitFor();
    await page.evaluate(() => scrollTo(0, 0));
  }
  await picture(ada, "desk-dark");
  await picture(bruno, "desk-light");
  await picture(tomas, "desk-customer-light");
  const path = process.env.PENHOLDER_SCREENSHOT;
  if (path !== undefined) {
    await mkdir(dirname(path), { recursive: true });
    await bruno.screenshot({ path });
  }
  const ground = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  assert.notEqual(await ground(ada), await ground(bruno));
});
