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

it.each([
  ["a", "b", 1],
  ["ab", "ba", 1],
  ["abc", "ca", 3],
  ["abcd", "badc", 2],
  ["xab", "yba", 2],
  ["abcdef", "abdcfe", 2],
  ["aab", "ab", 1],
  ["", "", 0],
])("editDistance(%j, %j) is %d in both directions", (one, other, distance) => {
  expect(editDistance(one, other)).toBe(distance);
  expect(editDistance(other, one)).toBe(distance);
});

it("suggests the first of several words that are equally close", () => {
  expect(didYouMean("webs", ["web", "webx"])).toBe(" (did you mean web?)");
  expect(didYouMean("webs", ["wxbx", "wexs"])).toBe(" (did you mean wexs?)");
});

it("suggests a word with one mistake from two characters on, and with two from five on", () => {
  expect(didYouMean("abcd", ["axcd"])).toBe(" (did you mean axcd?)");
  expect(didYouMean("abcd", ["axxd"])).toBe("");
  expect(didYouMean("abcd", ["abcdef"])).toBe("");
  expect(didYouMean("abcde", ["axxde"])).toBe(" (did you mean axxde?)");
});
