import { expect, it } from "vitest";
import { formatBytes, formatCount, formatCpu } from "./figures.ts";

it.each([
  [0, "0 bytes"],
  [1023, "1023 bytes"],
  [1536, "1.5 KiB"],
  [5 * 2 ** 40, "5.0 TiB"],
  [undefined, "-"],
])("formatBytes(%s)", (bytes, text) => expect(formatBytes(bytes)).toBe(text));

it.each([
  [0, "0 s"],
  [59.94, "59.9 s"],
  [60, "0:01:00"],
  [7509, "2:05:09"],
  [360_000, "100:00:00"],
])("formatCpu(%s)", (seconds, text) => expect(formatCpu(seconds)).toBe(text));

it("formatCount", () => {
  expect([formatCount(12_345), formatCount(undefined)]).toEqual(["12,345", "-"]);
});
