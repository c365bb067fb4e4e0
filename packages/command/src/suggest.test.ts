import { expect, it } from "vitest";
import { didYouMean, editDistance } from "./suggest.ts";

it.each([
  ["status", "status", 0],
  ["staus", "status", 1],
  ["sttaus", "status", 1],
  ["wbe", "web", 1],
  ["", "web", 3],
  ["kitten", "sitting", 3],
])("editDistance(%j, %j) is %d", (one, other, distance) => {
  expect(editDistance(one, other)).toBe(distance);
});

it("suggests the closest word, and nothing if none is close", () => {
  expect(didYouMean("staus", ["status", "list"])).toBe(" (did you mean status?)");
  expect(didYouMean("LIST", ["status", "list"])).toBe(" (did you mean list?)");
  expect(didYouMean("xyz", ["status", "list"])).toBe("");
  expect(didYouMean("wbe", ["web"])).toBe(" (did you mean web?)");
  expect(didYouMean("a", ["b"])).toBe("");
});
