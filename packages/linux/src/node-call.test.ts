import { readlinkSync } from "node:fs";
import { expect, it } from "vitest";
import { withoutException } from "./node-call.ts";

it("the result of one of Node's functions is returned, or the negated errno of its error", () => {
  expect(withoutException(() => 3)).toBe(3);
  expect(withoutException(() => readlinkSync("").length)).toBe(-2);
});

it.each([
  ["an error of another kind", new RangeError("no errno")],
  ["an errno that is not a number", Object.assign(new Error("x"), { errno: "ENOENT" })],
  ["something that is not an error", { errno: -2 }],
])("%s is rethrown", (_what, thrown) => {
  const call = () =>
    withoutException(() => {
      throw thrown;
    });
  expect(call).toThrow(expect.toSatisfy((error) => error === thrown));
});
