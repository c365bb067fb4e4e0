import { expect, it } from "vitest";
import { isInForeground } from "./signals.ts";

it.each([
  ["the foreground", "42 (node) S 1 42 42 34816 42 4194304 1", true],
  ["the foreground, despite a strange name", "42 (a) R 0 (b) S 1 42 42 34816 42 4194304", true],
  ["the background", "42 (node) S 1 42 40 34816 40 4194304 1", false],
  ["no terminal", "42 (node) S 1 42 42 0 -1 4194304 1", false],
])("recognizes %s", (_, stat, expected) => {
  expect(isInForeground(stat)).toBe(expected);
});
