import { expect, test, vi } from "vitest";
import { TokenSource, tokenClaims } from "../src/token.ts";
import { token } from "./fixtures.ts";

test("reads the claims of a JWT, in any alphabet, and none of anything else", () => {
  const claims = btoa(unescape(encodeURIComponent('{"sub":"zoë?>","exp":2}')));
  const url = claims.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  expect(tokenClaims(`h.${url}.s`)).toMatchObject({ sub: "zoë?>", expiresAt: 2000, role: null });
  for (const text of ["", "opaque", "a.b.c", "a.bnVsbA.c"]) {
    expect(tokenClaims(text)).toMatchObject({ sub: null, expiresAt: null });
  }
});

test("fetches once for all who ask at the same time", async () => {
  const fetchToken = vi.fn(async () => token("ada"));
  const source = new TokenSource(fetchToken);
  expect(source.isFresh(Date.now())).toBe(false);
  await Promise.all([source.refresh(), source.refresh()]);
  expect(fetchToken).toHaveBeenCalledTimes(1);
  expect(source.isFresh(Date.now())).toBe(true);
});

test("counts a token that is about to expire as spent", async () => {
  const source = new TokenSource(token("ada", 10_000));
  expect(source.isFresh(Date.now())).toBe(false);
  expect(source.canRefresh).toBe(false);
});

test("asks again after a failure", async () => {
  const fetchToken = vi.fn().mockRejectedValueOnce(new Error("no")).mockResolvedValueOnce("t");
  const source = new TokenSource(fetchToken);
  await expect(source.refresh()).rejects.toThrow("no");
  await expect(source.refresh()).resolves.toBe("t");
});
