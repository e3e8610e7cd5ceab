import { expect, test } from "vitest";
import { isSameWish, jointWish, type Wish } from "../src/wishes.ts";

const EDIT: Wish = { mode: "edit" };
const VIEW: Wish = { mode: "view" };

test("who asks for a mode wins over who asks for none, in any order", () => {
  expect(jointWish([{}, VIEW], {}).mode).toBe("view");
  expect(jointWish([VIEW, {}], {}).mode).toBe("view");
  expect(jointWish([{}, {}], {}).mode).toBeUndefined();
});

test("who needs more wins, in any order", () => {
  expect(jointWish([EDIT, VIEW], VIEW).mode).toBe("edit");
  expect(jointWish([VIEW, EDIT], EDIT).mode).toBe("edit");
  const presence = (...all: Wish["presence"][]) =>
    jointWish(
      all.map((how) => ({ presence: how })),
      {},
    ).presence;
  expect(presence("receive", true)).toBe(true);
  expect(presence(false, "receive")).toBe("receive");
  expect(presence(false, undefined)).toBe(false);
});

test("what nobody asks for any more stays, and what one still asks for counts", () => {
  expect(jointWish([{}], { mode: "view", presence: "receive" })).toEqual({
    mode: "view",
    presence: "receive",
  });
  expect(jointWish([VIEW], EDIT).mode).toBe("view");
});

test("to ask for what the server does by itself is no other wish", () => {
  expect(isSameWish({}, { mode: "edit", presence: true })).toBe(true);
  expect(isSameWish({}, VIEW)).toBe(false);
  expect(isSameWish({}, { presence: "receive" })).toBe(false);
});
