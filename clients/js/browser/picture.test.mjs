/** Pictures of two people on one ticket, of a server on which nobody else has been. */
import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { after, before, test } from "node:test";
import {
  enter,
  launch,
  openPage,
  picture,
  Server,
  waitForBanner,
  waitForMember,
  waitForPen,
} from "./harness.mjs";

const TICKET = "demo:ticket-1042";

let server;
let browser;

before(async () => {
  server = await Server.create();
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.remove();
});

test("two people on one ticket, one of whom has the pen, in light and dark", async () => {
  // Still pictures: an animation would make each run's differ. As wide as can be read where the
  // README shows it, as high as the text, and sharp on a dense screen.
  const look = {
    viewport: { width: 1240, height: 940 },
    deviceScaleFactor: 2,
    reducedMotion: "reduce",
    locale: "en-GB",
  };
  const open = async (person, colorScheme, topic) => {
    const { page } = await openPage(browser, server, { ...look, colorScheme });
    await enter(page, server, person, topic);
    return page;
  };
  const ada = await open("ada", "dark", TICKET);
  await waitForBanner(ada, "You can edit");
  await open("mei", "light", "demo:article-7");
  const bruno = await open("bruno", "light", TICKET);
  await ada.getByTestId("document").focus();
  await ada.keyboard.press("Control+End");
  await ada.keyboard.type(",\nAda");
  await waitForMember(bruno, "ada", { activity: "typing", prior: "true", pen: "true" });
  await waitForPen(ada, "You have the pen since");
  await waitForPen(bruno, "Ada Okafor has the pen since");
  for (const button of ["pen-ask", "pen-take-over"]) await bruno.getByTestId(button).waitFor();
  for (const page of [ada, bruno]) {
    await page.getByTestId(`present-${TICKET}`).filter({ hasText: "Bruno" }).waitFor();
    await page.getByTestId("present-demo:article-7").filter({ hasText: "Mei" }).waitFor();
  }
  await picture(ada, "two-people-dark");
  await picture(bruno, "two-people-light");
  const path = process.env.PENHOLDER_SCREENSHOT;
  if (path !== undefined) {
    await mkdir(dirname(path), { recursive: true });
    await bruno.screenshot({ path });
  }
  const ground = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  assert.notEqual(await ground(ada), await ground(bruno));
});
