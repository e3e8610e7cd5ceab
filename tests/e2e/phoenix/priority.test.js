import assert from "node:assert/strict";
import { suite } from "../harness/suite.js";

const prior = (key) => (summary) => summary.prior_user_presence?.key === key;
const keys = ({ presences }) => presences.map(({ key }) => key);

suite("edit priority", {}, ({ test, each }) => {
  each("the first has it, and it passes on when that one leaves", async ({ page }) => {
    const ann = await page("ann");
    assert.equal(ann.reply.summary.has_presence_edit_priority, true);
    const bob = await page("bob");
    const { summary } = bob.reply;
    assert.equal(summary.has_presence_edit_priority, false);
    assert.equal(summary.prior_user_presence.key, "ann");
    assert.equal(summary.current_user_presence.key, "bob");
    assert.equal(summary.certainty, "confirmed");
    await bob.summarized("ann is prior", prior("ann"));
    assert.equal(bob.summary.prior_session, ann.reply.session);
    await ann.leave();
    const last = await bob.summarized("bob is prior", prior("bob"));
    assert.equal(last.prior_session, bob.reply.session);
    assert.deepEqual([last.count, last.full, last.certainty], [1, true, "confirmed"]);
    assert.deepEqual(keys(last), ["bob"]);
  });

  each("everybody is told the same, in order of arrival", async ({ page }) => {
    const pages = [await page("zoe"), await page("ann"), await page("max")];
    for (const one of pages) {
      await one.summarized("three people", ({ count }) => count === 3);
      assert.deepEqual(keys(one.summary), ["zoe", "ann", "max"]);
      assert.deepEqual(one.summary, pages[0].summary);
      assert.ok(!("has_presence_edit_priority" in one.summary), "the viewer's own field");
    }
  });

  each("a view-only person never has it", async ({ page }) => {
    const vera = await page("vera", {}, { role: "viewer" });
    assert.equal(
      vera.reply.summary.prior_user_presence.key,
      "vera",
      "nobody is left but the viewer",
    );
    await vera.summarized("nobody is prior", ({ prior_user_presence }) => !prior_user_presence);
    const ann = await page("ann");
    assert.equal(ann.reply.summary.has_presence_edit_priority, true);
    await vera.summarized("ann is prior", prior("ann"));
    assert.deepEqual(keys(vera.summary), ["vera", "ann"]);
    await ann.leave();
    await vera.summarized("nobody is prior", ({ prior_user_presence, prior_session }) => {
      return prior_user_presence === null && prior_session === null;
    });
  });

  test("who joins in mode view gives way to an editor", async ({ page }) => {
    const ann = await page("ann", { mode: "view" });
    const bob = await page("bob");
    assert.equal(bob.reply.summary.has_presence_edit_priority, true);
    await ann.summarized("bob is prior", prior("bob"));
  });

  each("an AI comes after the humans", async ({ page }) => {
    const robot = await page("robot", {}, { kind: "ai" });
    await robot.summarized("alone, it has it", prior("robot"));
    const ann = await page("ann");
    assert.equal(ann.reply.summary.has_presence_edit_priority, true);
    await robot.summarized("ann is prior", prior("ann"));
    assert.equal((await ann.meta("robot")).user.kind, "ai");
    await ann.leave();
    await robot.summarized("the robot is prior", prior("robot"));
  });

  each(
    "of two tabs the earliest has it, and the other is told which",
    async ({ page, person, topic }) => {
      const first = await page("ann");
      const second = await (await person("ann")).join(topic);
      const { summary } = second.reply;
      assert.equal(summary.prior_user_presence.key, "ann");
      assert.equal(summary.has_presence_edit_priority, false);
      assert.equal(summary.priority_in_session, first.reply.session);
      assert.equal(summary.prior_session, first.reply.session);
      await first.leave();
      const passed = ({ prior_session }) => prior_session === second.reply.session;
      await second.summarized("the second tab has it", passed);
    },
  );
});

suite("edit priority, single session", { PRESENCE__SESSION_POLICY: "single_session" }, ({
  test,
}) => {
  test("who has two tabs has it in neither", async ({ page, person, topic }) => {
    const first = await page("ann");
    assert.equal(first.reply.summary.has_presence_edit_priority, true);
    const second = await (await person("ann")).join(topic);
    assert.equal(second.reply.summary.has_presence_edit_priority, false);
    await first.summarized("in neither", (summary) => {
      return prior("ann")(summary) && summary.prior_session === null;
    });
    await second.leave();
    const again = ({ prior_session }) => prior_session === first.reply.session;
    await first.summarized("in the only one", again);
  });
});

suite("edit priority, AI among humans", { PRESENCE__AI_AFTER_HUMANS: "false" }, ({ test }) => {
  test("an AI that was first has it", async ({ page }) => {
    await page("robot", {}, { kind: "ai" });
    const ann = await page("ann");
    assert.equal(ann.reply.summary.prior_user_presence.key, "robot");
  });
});
