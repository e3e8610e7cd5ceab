/** The help desk in the hand: keyboard, place, drafts, files, people, and what is said when something fails. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import {
  assign,
  createTicket,
  deskStage,
  freshTitle,
  heading,
  openTicket,
  pick,
  row,
  say,
  waitForComment,
  waitForHistory,
  waitForPerson,
  waitForValue,
} from "./desk-harness.mjs";
import { Line, overflow, picture, waitForConnection, waitForPen } from "./harness.mjs";

const { server, deskOf, ask } = await deskStage();
const MEI = { sub: "mei", name: "Mei Tanaka", role: "admin" };

/** Makes a ticket of which nobody has a page open. */
async function make(title, fields = {}) {
  const body = JSON.stringify({ title, description: "Made for the list.", ...fields });
  return (await ask("/v1/tickets", { method: "POST", body, status: 201 })).id;
}

function waitForFocus(page, testId) {
  return page.waitForFunction(
    (id) => document.activeElement?.getAttribute("data-testid") === id,
    testId,
  );
}

/** Where something is in the window. */
async function topOf(locator) {
  return (await locator.boundingBox()).y;
}

/** Waits until something is where it was, and not anywhere else. */
async function waitForTop(locator, top) {
  const element = await locator.elementHandle();
  const isThere = ([it, y]) => Math.abs(it.getBoundingClientRect().top - y) < 4;
  await locator.page().waitForFunction(isThere, [element, top]);
}

async function waitForSight(locator) {
  const isSeen = (it) => {
    const { top, bottom } = it.getBoundingClientRect();
    return top >= 0 && bottom <= innerHeight;
  };
  await locator.page().waitForFunction(isSeen, await locator.elementHandle());
}

test("the list keeps its place and the keyboard its own, whatever comes and is opened", async () => {
  const word = freshTitle("long").replace(" ", "-");
  for (let n = 0; n < 60; n += 1) await make(`${word} number ${n}`);
  const ada = await deskOf("ada", { path: `&q=${word}` });
  const rows = ada.locator('[data-row="ticket"]');
  await rows.nth(24).waitFor();
  assert.equal(await rows.count(), 25);
  await ada.getByTestId("more").press("Enter");
  await rows.nth(49).waitFor();
  await ada.waitForFunction(() => {
    const all = [...document.querySelectorAll('[data-row="ticket"]')];
    return document.activeElement === all[25];
  });
  await ada.getByTestId("more").press("Enter");
  await rows.nth(59).waitFor();
  await ada.getByTestId("more").waitFor({ state: "detached" });
  await ada.waitForFunction(() => {
    const all = [...document.querySelectorAll('[data-row="ticket"]')];
    return document.activeElement === all[50];
  });

  // What is made above does not move what is looked at.
  const seen = rows.filter({ hasText: "number 20" });
  await seen.scrollIntoViewIfNeeded();
  const before = await topOf(seen);
  const fresh = await make(`${word} on top`);
  await row(ada, fresh).waitFor({ state: "attached" });
  await waitForTop(seen, before);

  const scrolled = await ada.evaluate(() => scrollY);
  assert.ok(scrolled > 500, `scrolled by ${scrolled}`);
  await seen.click();
  await ada.getByTestId("ticket-panel").waitFor();
  await seen.waitFor();
  const box = await seen.boundingBox();
  assert.ok(box.y > 0 && box.y < 800, `the open ticket is in sight in its list: ${box.y}`);
  const beside = await make(`${word} on top of that`);
  await row(ada, beside).waitFor({ state: "attached" });
  await waitForTop(seen, box.y);
  await ada.goBack();
  await ada.getByTestId("ticket-panel").waitFor({ state: "detached" });
  await waitForSight(seen);

  await seen.scrollIntoViewIfNeeded();
  // Without going up to it, which would be another place in the list.
  await ada.getByTestId("page-topics").evaluate((link) => link.click());
  await ada.getByTestId("welcome").waitFor();
  await ada.goBack();
  await rows.nth(59).waitFor({ state: "attached" });
  await waitForSight(seen);

  await ada.setViewportSize({ width: 360, height: 740 });
  await seen.scrollIntoViewIfNeeded();
  const narrow = await ada.evaluate(() => scrollY);
  await seen.click();
  await ada.getByTestId("ticket-panel").waitFor();
  assert.ok((await ada.evaluate(() => scrollY)) < 100, "a ticket begins at its top");
  await ada.getByTestId("close-ticket").click();
  await ada.waitForFunction((y) => Math.abs(scrollY - y) < 4, narrow);
});

test("after an edit, a removal and a change of status the keyboard goes on where it was", async () => {
  const ada = await deskOf("ada");
  await createTicket(ada, freshTitle("By keyboard"));
  for (const text of ["The first", "The second", "The third"]) await say(ada, text);
  const comment = (text) => ada.getByTestId("comments").locator("li").filter({ hasText: text });
  await comment("The second").getByTestId("edit-comment").press("Enter");
  await waitForFocus(ada, "comment-edit");
  await ada.keyboard.press("End");
  await ada.keyboard.type(", edited");
  await ada.keyboard.press("Control+Enter");
  await comment("The second, edited").getByTestId("edit-comment").waitFor();
  await waitForFocus(ada, "edit-comment");
  await ada.keyboard.press("Enter");
  await ada.getByTestId("comment-cancel").press("Enter");
  await waitForFocus(ada, "edit-comment");

  const third = await comment("The third").getAttribute("data-testid");
  await comment("The second, edited").getByTestId("delete-comment").press("Enter");
  await ada.keyboard.press("Enter");
  await comment("The second, edited").waitFor({ state: "detached" });
  await waitForFocus(ada, third);

  await ada.getByTestId("status").selectOption("resolved");
  await ada.getByTestId("change-status").press("Enter");
  await waitForHistory(ada, "to “Resolved”");
  await waitForFocus(ada, "status");
  await ada.getByTestId("close-ticket").press("Enter");
  await ada.getByTestId("filter-search").fill("nobody writes this");
  await ada.getByTestId("empty").waitFor();
  await ada.getByTestId("filter-clear").press("Enter");
  await waitForFocus(ada, "filter-search");
});

test("tickets are assigned to, and looked for by, whoever of the team is found by name", async () => {
  for (const [id, name] of [
    ["zoe", "Zoë Zimmer"],
    ["zack", "Zack Zimmer"],
  ]) {
    const body = JSON.stringify({ name, role: "agent" });
    await ask(`/v1/users/${id}`, { method: "PUT", body, by: MEI });
  }
  const ada = await deskOf("ada");
  const bruno = await deskOf("bruno");
  const title = freshTitle("For Zoë");
  const id = await createTicket(ada, title);
  const field = ada.getByTestId("assignee");
  await field.click();
  const options = ada.locator('[role="option"]');
  await options.filter({ hasText: "Zack Zimmer" }).waitFor();
  const labels = await options.allTextContents();
  assert.deepEqual(labels.slice(0, 2), ["Me (Ada Okafor)", "Nobody"]);
  assert.ok(!labels.includes("Tomas Novak"), "customers cannot be assigned");
  await field.pressSequentially("ZIMM");
  await options.filter({ hasText: "Me (" }).waitFor({ state: "detached" });
  await options.filter({ hasText: "Zack Zimmer" }).waitFor();
  await picture(ada, "desk-assignee");
  await ada.keyboard.press("Escape");
  assert.equal(await field.inputValue(), "Nobody");
  await field.fill("zoë");
  await ada.waitForFunction(
    () =>
      document.querySelectorAll('[role="option"]').length === 1 &&
      document.querySelector('[data-testid="option-zoe"]'),
  );
  await ada.keyboard.press("Enter");
  await waitForPerson(ada, "assignee", "zoe");
  await waitForHistory(ada, "assigned the ticket to Zoë Zimmer");
  await assign(ada, "ada");
  await pick(ada, "assignee", "");
  await waitForPerson(ada, "assignee", "");
  await assign(ada, "zoe");

  // Of the address the page knows the id only.
  await bruno.goto(`${server.url}/?assigned_to=zoe`);
  await waitForValue(bruno, "filter-assignee", "Zoë Zimmer");
  await row(bruno, id).waitFor();
  await bruno.goto(`${server.url}/?assigned_to=zack`);
  await waitForValue(bruno, "filter-assignee", "Zack Zimmer");
  await bruno.getByTestId("empty").waitFor();
  await bruno.getByTestId("filter-assignee").fill("Zoë");
  await bruno.getByTestId("option-zoe").click();
  await row(bruno, id).waitFor();
  assert.equal(new URL(bruno.url()).searchParams.get("assigned_to"), "zoe");
});

test("a change past somebody's pen is one line that says what was changed and who had the pen", async () => {
  const ada = await deskOf("ada");
  const bruno = await deskOf("bruno");
  const id = await createTicket(ada, freshTitle("Past the pen"));
  await openTicket(bruno, id);
  await ada.getByTestId("description-field").fill("What Ada writes");
  await waitForPen(bruno, "Ada Okafor has the pen since");
  await bruno.getByTestId("priority").selectOption("high");
  const line = "changed the priority from “Medium” to “High” while Ada Okafor had the pen";
  for (const page of [ada, bruno]) await waitForHistory(page, line);
  await ada.getByTestId("priority").selectOption("low");
  await waitForHistory(bruno, "from “High” to “Low”");
  await bruno.reload();
  await waitForHistory(bruno, line);
  const lines = await bruno.getByTestId("history").locator("li p").allTextContents();
  const about = lines.filter((text) => /pen|priority/.test(text));
  assert.deepEqual(about, [
    "Ada Okafor changed the priority from “High” to “Low”",
    `Bruno Salas ${line}`,
  ]);
});

test("what fails says how, and what passes goes by itself", async () => {
  const line = await Line.to(server);
  after(() => line.close());
  const ada = await deskOf("ada", { by: line });
  const id = await createTicket(ada, freshTitle("Away"));
  const isTicket = (url) => url.pathname === `/v1/tickets/${id}`;
  const fail = async (status, code, title) => {
    const answer = { status, json: { code, message: "As the server says." } };
    await ada.route(isTicket, (route) => route.fulfill(answer));
    await ada.reload();
    await heading(ada, title).waitFor();
    await ada.unroute(isTicket);
  };
  await fail(403, "not_authorized", "Not for you to see");
  await ada.getByTestId("ticket-retry").press("Enter");
  await heading(ada, "Away").waitFor();
  await fail(404, "not_found", "No such ticket");
  await ada.getByTestId("ticket-retry").click();
  await heading(ada, "Away").waitFor();
  // What may pass is asked for again without being told to.
  await fail(429, "rate_limited", "Too much at once");
  await heading(ada, "Away").waitFor();
  await fail(503, "unavailable", "The ticket cannot be shown now");
  await heading(ada, "Away").waitFor();

  line.cut();
  await waitForConnection(ada, "reconnecting");
  await ada.getByTestId("composer").fill("Said into the void");
  await ada.getByTestId("send").click();
  const problem = ada.getByTestId("composer-problem");
  await problem.filter({ hasText: "The server cannot be reached" }).waitFor();
  line.mend();
  await problem.waitFor({ state: "detached" });
  assert.equal(await ada.getByTestId("composer").inputValue(), "Said into the void");
  await ada.getByTestId("send").click();
  await waitForComment(ada, "Said into the void");
});

test("files are attached by their address, shown to all, and refused as the server says", async () => {
  const tomas = await deskOf("tomas");
  const ada = await deskOf("ada");
  const title = freshTitle("See the picture");
  await tomas.getByTestId("new-ticket").click();
  await tomas.getByTestId("new-title").fill(title);
  await tomas.getByTestId("new-description").fill("As on the picture.");
  await tomas.getByTestId("add-file").press("Enter");
  await waitForFocus(tomas, "file-url");
  await tomas.keyboard.type("javascript:alert(1)");
  await tomas.getByTestId("new-submit").click();
  const refused = "“javascript:alert(1)” is no address of http or https.";
  await tomas.getByTestId("files-problem").filter({ hasText: refused }).waitFor();
  await tomas.getByTestId("file-url").fill("https://files.example.org/a%20picture.png");
  await tomas.reload();
  const value = await tomas.getByTestId("file-url").inputValue();
  assert.equal(value, "https://files.example.org/a%20picture.png");
  await tomas.getByTestId("new-submit").click();
  await heading(tomas, title).waitFor();
  const id = new URL(tomas.url()).searchParams.get("ticket");
  await openTicket(ada, id);
  for (const page of [tomas, ada]) {
    const link = page.getByRole("link", { name: "a picture.png" });
    await link.waitFor();
    assert.equal(await link.getAttribute("href"), "https://files.example.org/a%20picture.png");
    assert.match(await link.getAttribute("rel"), /noopener/);
  }

  // What was refused of an answer is not said of the note beside it.
  await ada.getByTestId("composer").fill("See this.");
  await ada.getByTestId("add-file").click();
  await ada.getByTestId("file-url").fill("ftp://files.example.org");
  await ada.getByTestId("send").click();
  const problem = ada.getByTestId("files-problem");
  await problem.filter({ hasText: "is no address" }).waitFor();
  await ada.getByTestId("as-note").check({ force: true });
  assert.equal(await problem.textContent(), "");
  await ada.getByTestId("as-reply").check({ force: true });
  await ada.getByTestId("file-remove").click();

  for (const n of [1, 2, 3]) {
    await ada.getByTestId("add-file").click();
    await ada
      .getByTestId("file-url")
      .nth(n - 1)
      .fill(`http://files.example.org/${n}`);
    await ada
      .getByTestId("file-name")
      .nth(n - 1)
      .fill(`Log ${n}`);
  }
  assert.equal(await ada.getByTestId("add-file").getAttribute("aria-disabled"), "true");
  await ada.getByText("3 at most.").waitFor();
  await ada.getByTestId("file-remove").nth(2).press("Enter");
  await waitForFocus(ada, "add-file");
  await say(ada, "Here are the logs.");
  // Live, though the event of a comment comes without its files.
  for (const page of [tomas, ada]) {
    const comment = page.getByTestId("comments").locator(":scope > li").filter({ hasText: "logs" });
    await comment.getByRole("link", { name: "Log 2" }).waitFor();
    assert.equal(await comment.getByRole("link").count(), 2);
  }
  // Made elsewhere, where its length was known.
  const file = { url: "https://files.example.org/dump", name: "dump.zip", size: 2_400_000 };
  const body = JSON.stringify({ content: "And the dump.", attachments: [file] });
  await ask(`/v1/tickets/${id}/comments`, { method: "POST", body, status: 201 });
  await tomas.getByText("files.example.org · 2.4 MB").waitFor();
});

test("an answer, a note and an edit are kept apart, over reloads and other tickets", async () => {
  const ada = await deskOf("ada");
  const other = await createTicket(ada, freshTitle("Another one"));
  const id = await createTicket(ada, freshTitle("Half written"));
  await say(ada, "As it was said");
  const composer = ada.getByTestId("composer");
  await composer.fill("Dear customer");
  await ada.getByTestId("as-note").check({ force: true });
  assert.equal(await composer.inputValue(), "");
  await composer.fill("He is rude");
  await ada.getByTestId("edit-comment").click();
  await ada.getByTestId("comment-edit").fill("As it should have been");
  await ada.getByTestId("status").selectOption("resolved");
  await ada.getByTestId("reason").fill("Because");
  await row(ada, other).click();
  await heading(ada, "Another one").waitFor();
  assert.equal(await composer.inputValue(), "");
  await row(ada, id).click();
  await heading(ada, "Half written").waitFor();
  for (const again of [false, true]) {
    if (again) await ada.reload();
    await ada.getByTestId("comment-edit").waitFor();
    assert.equal(await ada.getByTestId("comment-edit").inputValue(), "As it should have been");
    assert.equal(await composer.inputValue(), "He is rude");
    await ada.getByTestId("status").selectOption("resolved");
    assert.equal(await ada.getByTestId("reason").inputValue(), "Because");
  }
  await ada.getByTestId("as-reply").check({ force: true });
  assert.equal(await composer.inputValue(), "Dear customer");
  await ada.getByTestId("send").click();
  await waitForComment(ada, "Dear customer");
  await ada.getByTestId("as-note").check({ force: true });
  assert.equal(await composer.inputValue(), "He is rude");
});

test("what is written while the pen is given back after a save stays, under the pen again", async () => {
  const ada = await deskOf("ada");
  await createTicket(ada, freshTitle("Saved, and on"));
  const held = [];
  let isSlow = false;
  await ada.routeWebSocket(/\/socket/, (socket) => {
    const far = socket.connectToServer();
    socket.onMessage((message) => {
      if (isSlow && String(message).includes("pen_release")) held.push(() => far.send(message));
      else far.send(message);
    });
  });
  await ada.reload();
  const field = ada.getByTestId("description-field");
  await waitForPen(ada, "Nobody has the pen.");
  await field.fill("The first half.");
  await waitForPen(ada, "You have the pen since");
  isSlow = true;
  await field.press("Control+Enter");
  await ada.getByTestId("save").waitFor({ state: "detached" });
  await field.press("Control+End");
  await ada.keyboard.type(" The second half.");
  assert.equal(held.length, 1, "the pen is on its way back");
  await ada.evaluate(() => {
    const pen = document.querySelector('[data-testid="pen"]');
    window.states = [];
    const note = () => window.states.push(pen.dataset.state);
    new MutationObserver(note).observe(pen, { attributeFilter: ["data-state"] });
  });
  isSlow = false;
  held[0]();
  await ada.waitForFunction(() => window.states.join() === "free,held");
  assert.equal(await field.inputValue(), "The first half. The second half.");
  assert.equal(await ada.getByTestId("pen-draft").count(), 0);
  await field.press("Control+Enter");
  await ada.getByTestId("save").waitFor({ state: "detached" });
  await waitForPen(ada, "Nobody has the pen.");
});

test("customers see on each of their rows who looks at it and who has its pen", async () => {
  const tomas = await deskOf("tomas");
  const ada = await deskOf("ada");
  const id = await createTicket(tomas, freshTitle("Who is on it"));
  await tomas.getByTestId("close-ticket").click();
  await openTicket(ada, id);
  await row(tomas, id).filter({ hasText: "AO" }).waitFor();
  await ada.getByTestId("description-field").fill("It does not work at all.");
  await row(tomas, id).getByTestId("row-pen").filter({ hasText: "Ada Okafor" }).waitFor();
  await ada.getByTestId("description-field").press("Control+Enter");
  await row(tomas, id).getByTestId("row-pen").waitFor({ state: "detached" });
  await ada.getByTestId("close-ticket").click();
  await tomas.getByTestId(`present-tickets:${id}`).waitFor({ state: "detached" });
});

test("who has a ticket open that is deleted is told, and goes on at its title", async () => {
  const ada = await deskOf("ada");
  const id = await createTicket(ada, freshTitle("Soon gone"));
  await ada.getByTestId("composer").fill("Half a thought");
  await ask(`/v1/tickets/${id}`, { method: "DELETE", status: 204 });
  await ada.getByTestId("deleted").filter({ hasText: "Quill has deleted this ticket" }).waitFor();
  await waitForFocus(ada, "ticket-heading");
});

test("what others do is said once to who does not see it", async () => {
  const ada = await deskOf("ada");
  const bruno = await deskOf("bruno");
  const id = await createTicket(bruno, freshTitle("Heard"));
  await ada
    .getByTestId("list-heard")
    .filter({ hasText: "A new ticket: Heard" })
    .waitFor({ state: "attached" });
  await openTicket(ada, id);
  await say(bruno, "One");
  await waitForComment(ada, "One");
  const heard = ada.getByTestId("comments-heard");
  await heard
    .filter({ hasText: "Bruno Salas has written a comment." })
    .waitFor({ state: "attached" });
  await say(ada, "Mine");
  assert.doesNotMatch(await heard.textContent(), /Ada/);
});

for (const person of ["ada", "tomas"]) {
  test(`a phone of 360 px shows ${person} everything, under one line of a header`, async () => {
    const line = await Line.to(server);
    after(() => line.close());
    const viewport = { width: 360, height: 740 };
    const page = await deskOf(person, { by: line, viewport });
    const fits = async (what) => {
      assert.equal(await overflow(page), 0, what);
      const { height } = await page.locator("header.header").boundingBox();
      assert.ok(height <= 60, `${what}: a header of ${height} px`);
      await picture(page, `phone-${person}-${what}`);
    };
    await fits("list");
    await page.getByTestId("filter-toggle").click();
    await page.getByTestId("filter-priority").waitFor();
    await fits("filters");
    await page.getByTestId("new-ticket").click();
    await page.getByTestId("add-file").click();
    await fits("new");
    await page.getByTestId("new-title").fill(freshTitle("Wörter".repeat(20)));
    await page.getByTestId("new-description").fill("w".repeat(300));
    await page.getByTestId("new-submit").click();
    await page.getByTestId("history").locator("li").first().waitFor();
    await page.getByTestId("composer").fill("m".repeat(200));
    await page.getByTestId("send").click();
    await waitForComment(page, "mmm");
    await fits("ticket");
    line.cut();
    await waitForConnection(page, "reconnecting");
    await fits("away");
  });
}
