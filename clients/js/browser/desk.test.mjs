/** The help desk for a customer and two agents side by side, in real browsers against the real server. */
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
import { Line, overflow, picture, WAIT_MS, waitForConnection, waitForPen } from "./harness.mjs";

const { server, deskOf, ask } = await deskStage();

/** How many tickets have a status, as the server says it now. */
async function countOf(status) {
  return (await ask("/v1/tickets/stats")).by_status[status];
}

function viewer(page, key) {
  return page.getByTestId(`viewer-${key}`);
}

/** Types, without a pause, until it is seen. */
async function typeUntil(page, seen) {
  const deadline = Date.now() + WAIT_MS;
  do await page.getByTestId("composer").press("x");
  while (!(await seen.isVisible()) && Date.now() < deadline);
  await seen.waitFor();
}

function waitForCount(page, status, number) {
  return page
    .getByTestId(`count-${status}`)
    .filter({ hasText: new RegExp(`^${number}$`) })
    .waitFor();
}

test("a customer and two agents talk on a ticket, and each sees what is theirs to see", async () => {
  const tomas = await deskOf("tomas");
  const ada = await deskOf("ada");
  const bruno = await deskOf("bruno");
  await waitForCount(ada, "all", 0);
  const title = freshTitle("The printer is on fire");
  const id = await createTicket(tomas, title);
  for (const agent of [ada, bruno]) {
    await row(agent, id).filter({ hasText: title }).filter({ hasText: "Tomas Novak" }).waitFor();
    await waitForCount(agent, "open", 1);
  }
  await openTicket(ada, id);
  await openTicket(bruno, id);
  for (const who of ["tomas", "ada", "bruno"]) await viewer(ada, who).waitFor();
  await row(bruno, id).filter({ hasText: "AO" }).waitFor();

  await say(ada, "Which printer is it?");
  for (const page of [bruno, tomas]) await waitForComment(page, "Which printer is it?");
  await say(tomas, "The one on the second floor.");
  await waitForComment(ada, "The one on the second floor.");

  await ada.getByTestId("as-note").check({ force: true });
  await ada.getByText("Only the team sees this.").waitFor();
  await say(ada, "He has two of them, ask which");
  const note = bruno.locator('[data-internal="true"]').filter({ hasText: "two of them" });
  await note.filter({ hasText: "Internal note" }).waitFor();
  // What is said after the note has come, and the note has not.
  await ada.getByTestId("as-reply").check({ force: true });
  await say(ada, "Somebody is on the way.");
  await waitForComment(tomas, "Somebody is on the way.");
  const seen = await tomas.content();
  assert.doesNotMatch(seen, /two of them/);
  assert.equal(await tomas.getByTestId("as-note").count(), 0);
  await row(tomas, id).filter({ hasText: "3 comments" }).waitFor();
  await picture(ada, "desk-agent");
  await picture(tomas, "desk-customer");

  for (const page of [tomas, bruno]) {
    await page.reload();
    await heading(page, title).waitFor();
    await waitForComment(page, "Somebody is on the way.");
  }
  await note.waitFor();
  assert.doesNotMatch(await tomas.content(), /two of them/);
});

test("status, assignee and priority are live for all, and only what is possible is offered", async () => {
  const tomas = await deskOf("tomas");
  const ada = await deskOf("ada");
  const bruno = await deskOf("bruno");
  const id = await createTicket(tomas, freshTitle("The invoice is wrong"));
  await openTicket(ada, id);
  await openTicket(bruno, id);
  const open = await countOf("open");
  for (const page of [ada, bruno]) await waitForCount(page, "open", open);

  await assign(ada, "bruno");
  await waitForPerson(bruno, "assignee", "bruno");
  for (const page of [ada, bruno]) {
    await waitForValue(page, "status", "in_progress");
    await row(page, id).and(page.locator('[data-status="in_progress"]')).waitFor();
    await waitForCount(page, "open", open - 1);
  }
  await tomas.getByTestId("assignee").filter({ hasText: "Bruno Salas" }).waitFor();
  for (const page of [ada, tomas]) await waitForHistory(page, "assigned the ticket to Bruno Salas");

  await bruno.getByTestId("priority").selectOption("urgent");
  await waitForValue(ada, "priority", "urgent");
  await tomas.getByTestId("priority").filter({ hasText: "Urgent" }).waitFor();

  await ada.getByTestId("status").selectOption("resolved");
  await ada.getByTestId("reason").fill("A new invoice is on its way");
  await ada.getByTestId("change-status").click();
  for (const page of [tomas, bruno]) {
    await waitForValue(page, "status", "resolved");
    await waitForHistory(page, "A new invoice is on its way");
  }
  const offered = (page) => page.getByTestId("status").locator("option").allTextContents();
  assert.deepEqual(await offered(bruno), ["Resolved", "Open", "Waiting for us", "Closed"]);
  assert.deepEqual(await offered(tomas), ["Resolved", "Open", "Closed"]);

  await tomas.getByTestId("status").selectOption("closed");
  await tomas.getByTestId("change-status").click();
  for (const page of [ada, bruno, tomas]) {
    await waitForValue(page, "status", "closed");
    await page.getByTestId("closed-note").waitFor();
  }
  await ada.reload();
  await waitForHistory(ada, "from “Resolved” to “Closed”");
  await waitForHistory(ada, "created the ticket");
});

test("who writes the description has the pen, and what is saved is seen by all", async () => {
  const tomas = await deskOf("tomas");
  const ada = await deskOf("ada");
  const bruno = await deskOf("bruno");
  const mei = await deskOf("mei");
  const title = freshTitle("Export stops");
  const id = await createTicket(tomas, title);
  await openTicket(ada, id);
  await openTicket(bruno, id);
  await waitForPen(bruno, "Nobody has the pen.");
  await ada.getByTestId("description-field").fill("It stops after ten thousand rows.");
  await waitForPen(ada, "You have the pen since");
  await waitForPen(bruno, "Ada Okafor has the pen since");
  assert.equal(await bruno.getByTestId("description-field").isEditable(), false);
  // In the list of somebody who has the ticket not open.
  await row(mei, id).getByTestId("row-pen").filter({ hasText: "Ada Okafor" }).waitFor();
  await row(mei, id).filter({ hasText: "AO" }).filter({ hasText: "BS" }).waitFor();

  // Another field that changes meanwhile is in nobody's way.
  await bruno.getByTestId("priority").selectOption("high");
  await waitForValue(ada, "priority", "high");
  await ada.getByTestId("description-field").press("Control+Enter");
  await ada.getByTestId("save").waitFor({ state: "detached" });
  await waitForValue(bruno, "description-field", "It stops after ten thousand rows.");
  await tomas
    .getByTestId("description")
    .filter({ hasText: "It stops after ten thousand rows." })
    .waitFor();
  await waitForPen(bruno, "Nobody has the pen.");
  await row(mei, id).getByTestId("row-pen").waitFor({ state: "detached" });
  await waitForHistory(bruno, "changed the description");

  await bruno.getByTestId("title-field").fill(`${title}, always`);
  await bruno.getByTestId("save").click();
  await heading(ada, `${title}, always`).waitFor();
  await row(tomas, id)
    .filter({ hasText: `${title}, always` })
    .waitFor();
});

test("who loses the pen keeps what they wrote, and is told what happened", async () => {
  const ada = await deskOf("ada");
  const bruno = await deskOf("bruno");
  const id = await createTicket(ada, freshTitle("Two write at once"));
  await openTicket(bruno, id);
  await ada.getByTestId("description-field").fill("What Ada wrote");
  await waitForPen(bruno, "Ada Okafor has the pen since");
  await bruno.getByTestId("pen-take-over").click();
  await waitForPen(bruno, "You have the pen since");
  await ada.getByTestId("pen-draft").filter({ hasText: "Your draft of" }).waitFor();
  await bruno.getByTestId("description-field").fill("What Bruno wrote");
  await bruno.getByTestId("save").click();
  await waitForPen(ada, "Nobody has the pen.");
  await waitForValue(ada, "description-field", "What Bruno wrote");
  await ada.getByTestId("draft-restore").click();
  await waitForValue(ada, "description-field", "What Ada wrote");
  await ada.getByTestId("save").click();
  await waitForValue(bruno, "description-field", "What Ada wrote");
});

test("who is overtaken by somebody without the pen sees it, and decides whose text stays", async () => {
  const ada = await deskOf("ada");
  const id = await createTicket(ada, freshTitle("Overtaken"));
  const patch = (body) => ask(`/v1/tickets/${id}`, { method: "PATCH", body: JSON.stringify(body) });
  await ada.getByTestId("description-field").fill("What Ada wrote");
  await waitForPen(ada, "You have the pen since");
  await patch({ description: "What the program wrote" });
  const notice = ada.getByTestId("overtaken").filter({ hasText: "What the program wrote" });
  await notice.waitFor();
  assert.equal(await ada.getByTestId("save").isDisabled(), true);
  assert.equal(await ada.getByTestId("description-field").inputValue(), "What Ada wrote");
  await waitForHistory(ada, "changed the description while Ada Okafor had the pen");
  await ada.getByTestId("keep-mine").click();
  await notice.waitFor({ state: "detached" });

  // The fence is too old by the time the save arrives.
  const holder = { id: "bruno", name: "Bruno Salas", kind: "human" };
  const refusal = { code: "stale_fence", message: "", details: { holder } };
  const isSave = (url) => url.pathname === `/v1/tickets/${id}`;
  await ada.route(isSave, (route) =>
    route.request().method() === "PATCH"
      ? route.fulfill({ status: 409, json: refusal })
      : route.continue(),
  );
  await ada.getByTestId("save").click();
  const problem = ada.getByTestId("save-problem");
  await problem.filter({ hasText: "Bruno Salas has got the pen" }).waitFor();
  assert.equal(await ada.getByTestId("description-field").inputValue(), "What Ada wrote");
  await ada.unroute(isSave);
  await ada.getByTestId("save").click();
  await ada.getByTestId("save").waitFor({ state: "detached" });
  assert.equal((await ask(`/v1/tickets/${id}`)).description, "What Ada wrote");

  await ada.getByTestId("description-field").fill("Half a thought");
  await patch({ description: "The last word" });
  await ada.getByTestId("take-theirs").click();
  await waitForValue(ada, "description-field", "The last word");

  // Another title is no reason to lose it, nor the description.
  await ada.getByTestId("description-field").fill("Ada's own");
  await patch({ title: "A title of the program" });
  const title = "Somebody has saved another title while you wrote";
  await ada.getByTestId("overtaken").filter({ hasText: title }).waitFor();
  await ada.getByTestId("overtaken").filter({ hasText: "“A title of the program”" }).waitFor();
  await ada.getByTestId("keep-mine").click();
  await waitForValue(ada, "title-field", "A title of the program");
  await ada.getByTestId("save").click();
  await ada.getByTestId("save").waitFor({ state: "detached" });
  const { title: savedTitle, description } = await ask(`/v1/tickets/${id}`);
  assert.deepEqual([savedTitle, description], ["A title of the program", "Ada's own"]);
});

test("an unsaved text survives the server's restart, and the history is whole after it", async () => {
  const line = await Line.to(server);
  after(() => line.close());
  const ada = await deskOf("ada", { by: line });
  const bruno = await deskOf("bruno");
  const title = freshTitle("Away for a while");
  const id = await createTicket(bruno, title);
  await openTicket(ada, id);
  line.cut();
  await waitForConnection(ada, "reconnecting");
  await say(bruno, "Said while Ada was away");
  await bruno.getByTestId("status").selectOption("waiting_for_user");
  await bruno.getByTestId("change-status").click();
  await waitForValue(bruno, "status", "waiting_for_user");
  line.mend();
  await waitForComment(ada, "Said while Ada was away");
  await waitForValue(ada, "status", "waiting_for_user");

  await ada.getByTestId("composer").fill("Half a sente");
  await server.kill();
  await waitForConnection(bruno, "reconnecting");
  await bruno.getByTestId("composer").fill("Said over the restart");
  await server.start();
  for (const page of [ada, bruno]) await waitForConnection(page, "connected");
  await bruno.getByTestId("send").click();
  for (const page of [ada, bruno]) {
    await waitForComment(page, "Said while Ada was away");
    await waitForComment(page, "Said over the restart");
    await waitForHistory(page, "to “Waiting for customer”");
    await waitForHistory(page, "created the ticket");
  }
  const said = await ada.getByTestId("comments").locator("li").count();
  assert.equal(said, 2, "each comment once");
  assert.equal(await ada.getByTestId("composer").inputValue(), "Half a sente");
});

/** Chooses a status, without waiting for what comes of it. */
async function choose(page, status) {
  await page.getByTestId("status").selectOption(status);
  await page.getByTestId("change-status").click();
}

/** What a window shows of a ticket in the end: who did what when, and what was said. */
function shown(page) {
  return page.evaluate(() => {
    const text = (item, part) => item.querySelector(part)?.textContent;
    const entries = [...document.querySelectorAll('[data-testid="history"] > li')];
    const comments = [...document.querySelectorAll('[data-testid="comments"] li[data-internal]')];
    return {
      history: entries.map((entry) => [
        entry.dataset.type,
        text(entry, "strong"),
        entry.querySelector("time").dateTime,
      ]),
      comments: comments.map((item) => [item.dataset.internal, text(item, ".comment-text")]),
    };
  });
}

test("a ticket is worked from creation to reopening over a kill of the server, and every window has it whole", async () => {
  const [tomas, ada, bruno] = [await deskOf("tomas"), await deskOf("ada"), await deskOf("bruno")];
  const windows = [tomas, ada, bruno];
  const id = await createTicket(tomas, freshTitle("The door does not open"));
  for (const agent of [ada, bruno]) await openTicket(agent, id);
  await assign(ada, "bruno");
  await waitForValue(bruno, "status", "in_progress");
  await ada.getByTestId("as-note").check({ force: true });
  await say(ada, "It is always this door");
  await say(bruno, "Which key have you got?");
  await waitForComment(tomas, "Which key have you got?");

  // It dies while this is under way: whether it was done before, nobody can know yet.
  await choose(bruno, "waiting_for_user");
  await server.kill();
  await tomas.getByTestId("composer").fill("The one with the red ring");
  await server.start();
  for (const page of windows) await waitForConnection(page, "connected");
  // The page may have asked again, for as long as it was not answered.
  await bruno.locator('.facts[aria-busy="false"]').waitFor();
  if ((await ask(`/v1/tickets/${id}`)).status === "in_progress") {
    await choose(bruno, "waiting_for_user");
  }
  for (const page of windows) await waitForValue(page, "status", "waiting_for_user");
  await tomas.getByTestId("send").click();
  for (const page of windows) await waitForComment(page, "The one with the red ring");

  await choose(bruno, "resolved");
  await waitForValue(tomas, "status", "resolved");
  await choose(tomas, "closed");
  for (const page of [ada, tomas]) await waitForValue(page, "status", "closed");
  await choose(tomas, "open");
  for (const page of windows) await waitForHistory(page, "to “Open”");

  const [customer, one, other] = await Promise.all(windows.map(shown));
  assert.deepEqual(one, other);
  assert.equal(one.comments.length, 3, "the note among them");
  const isPublic = ([isInternal]) => isInternal !== "true";
  assert.deepEqual(customer, { ...one, comments: one.comments.filter(isPublic) });
  const { data: changes } = await ask(`/v1/tickets/${id}/history`);
  const statuses = changes.map(({ to }) => to);
  const way = ["open", "in_progress", "waiting_for_user", "resolved", "closed", "open"];
  assert.deepEqual(statuses, way);
  const told = one.history.filter(([type]) => type === "status");
  assert.equal(told.length, statuses.length, JSON.stringify(one.history));
});

test("an unsent note stays a note over a reload, and is not for who signs in next", async () => {
  const tomas = await deskOf("tomas");
  const id = await createTicket(tomas, freshTitle("The lamp flickers"));
  const ada = await deskOf("ada");
  await openTicket(ada, id);
  await ada.getByTestId("as-note").check({ force: true });
  await ada.getByTestId("composer").fill("He breaks them himself");
  await ada.reload();
  await ada.getByText("Only the team sees this.").waitFor();
  assert.equal(await ada.getByTestId("composer").inputValue(), "He breaks them himself");
  const kept = () => ada.evaluate(() => JSON.stringify(sessionStorage));
  assert.match(await kept(), /breaks them/);
  await ada.goto(`${server.url}/?as=tomas&ticket=${id}`);
  await ada.getByTestId("composer").waitFor();
  assert.equal(await ada.getByTestId("composer").inputValue(), "");
  assert.doesNotMatch(await kept(), /breaks them/);
});

test("that an agent writes a note is seen by the other agent and not by the customer", async () => {
  const tomas = await deskOf("tomas");
  const id = await createTicket(tomas, freshTitle("The door sticks"));
  const [ada, bruno] = [await deskOf("ada"), await deskOf("bruno")];
  for (const agent of [ada, bruno]) {
    await openTicket(agent, id);
    for (const page of [agent, tomas]) await viewer(page, "ada").waitFor();
  }
  const frames = [];
  tomas.on("websocket", (socket) =>
    socket.on("framereceived", ({ payload }) => frames.push(String(payload))),
  );
  await tomas.reload();
  await viewer(tomas, "bruno").waitFor();
  await ada.getByTestId("as-note").check({ force: true });
  await typeUntil(ada, viewer(bruno, "ada").filter({ hasText: "is writing a note" }));
  assert.equal(await viewer(bruno, "ada").getAttribute("data-typing"), "false");
  await ada.getByTestId("as-reply").check({ force: true });
  await typeUntil(ada, viewer(tomas, "ada").filter({ hasText: "typing" }));
  const speaks = '[data-note="false"][data-typing="true"]';
  await typeUntil(ada, viewer(bruno, "ada").and(bruno.locator(speaks)));
  await ada.getByTestId("composer").blur();
  for (const page of [tomas, bruno]) {
    await viewer(page, "ada").and(page.locator('[data-typing="false"]')).waitFor();
  }
  const said = frames
    .map((frame) => JSON.parse(frame))
    .filter(([, , , event]) => event === "typing");
  assert.equal(said[0]?.[4].on, true, "what she says aloud comes first");
  assert.ok(!frames.some((frame) => frame.includes('"audience"')), frames.join("\n"));
});

test("filters are in the address, the list follows them live, and back leads back", async () => {
  const ada = await deskOf("ada");
  const bruno = await deskOf("bruno");
  const word = freshTitle("needle").replace(" ", "-");
  const id = await createTicket(ada, `A ${word} in the hay`);
  await bruno.getByTestId("filter-search").fill(word.toUpperCase());
  await row(bruno, id).waitFor();
  await bruno.locator('[data-row="ticket"]').nth(1).waitFor({ state: "detached" });
  await pick(bruno, "filter-assignee", "none");
  await bruno.getByTestId("filter-open").click();
  await row(bruno, id).waitFor();
  await bruno.reload();
  assert.equal(await bruno.getByTestId("filter-search").inputValue(), word.toUpperCase());
  await row(bruno, id).waitFor();

  await assign(ada, "ada");
  await bruno.getByTestId("empty").waitFor();
  await pick(bruno, "filter-assignee", "");
  await bruno.getByTestId("filter-in_progress").click();
  await row(bruno, id).click();
  await heading(bruno, word).waitFor();
  await bruno.goBack();
  await bruno.getByTestId("ticket-panel").waitFor({ state: "detached" });
  await row(bruno, id).waitFor();
});

test("a ticket is made, found and answered by the keyboard alone", async () => {
  const tomas = await deskOf("tomas");
  await tomas.getByRole("button", { name: "New ticket" }).press("Enter");
  await tomas.getByRole("heading", { name: "New ticket" }).waitFor();
  await tomas.getByRole("button", { name: "Create ticket" }).press("Enter");
  await tomas.getByText("Say in a few words what it is about.").waitFor();
  const field = tomas.getByRole("textbox", { name: "What is it about?" });
  await tomas.waitForFunction(() => document.activeElement?.getAttribute("name") === "title");
  const title = freshTitle("By keyboard");
  await tomas.keyboard.type(title);
  assert.equal(await field.inputValue(), title);
  await tomas.keyboard.press("Tab");
  await tomas.keyboard.type("No mouse here.");
  await tomas.getByRole("button", { name: "Create ticket" }).press("Enter");
  await heading(tomas, title).waitFor();
  await tomas.waitForFunction(() => document.activeElement?.id === "ticket-heading");
  await tomas.getByRole("textbox", { name: "Your comment" }).focus();
  await tomas.keyboard.type("And one more thing.");
  await tomas.keyboard.press("Control+Enter");
  await waitForComment(tomas, "And one more thing.");
});

test("a customer cannot open the ticket of another, nor see that it is there", async () => {
  const ada = await deskOf("ada");
  const id = await createTicket(ada, freshTitle("Not for customers"));
  const tomas = await deskOf("tomas", { path: `&ticket=${id}` });
  await tomas.getByTestId("ticket-problem").filter({ hasText: "not there" }).waitFor();
  assert.equal(await row(tomas, id).count(), 0);
  assert.doesNotMatch(await tomas.content(), /Not for customers/);
});

test("the desk fits a window of 375 px, and the topics are one link away", async () => {
  const viewport = { width: 375, height: 800 };
  const ada = await deskOf("ada", { viewport, colorScheme: "dark" });
  assert.equal(await overflow(ada), 0);
  await createTicket(
    ada,
    freshTitle("A title that is rather long, as those of customers often are"),
  );
  await waitForPen(ada, "Nobody has the pen.");
  assert.equal(await overflow(ada), 0);
  await picture(ada, "desk-narrow-dark");
  await ada.getByTestId("close-ticket").click();
  await ada.getByTestId("new-ticket").waitFor();
  await ada.getByTestId("page-topics").click();
  await ada.getByTestId("welcome").waitFor();
  assert.equal(await overflow(ada), 0);
});
