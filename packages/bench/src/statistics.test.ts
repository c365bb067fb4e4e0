import { expect, it } from "vitest";
import { median, quantile } from "./statistics.ts";

const HUNDRED = Array.from({ length: 100 }, (_, i) => 99 - i);

it.each([
  [0, 0],
  [0.5, 50],
  [0.99, 99],
])("of a hundred values, the share %d is below the quantile", (share, value) => {
  expect(quantile(HUNDRED, share)).toBe(value);
});

it("returns the greatest value for the share 1", () => {
  expect(quantile(HUNDRED, 1)).toBe(99);
});

it("compares values as numbers, and leaves their order alone", () => {
  const values = [10, 9, 100];
  expect(median(values)).toBe(10);
  expect(values).toEqual([10, 9, 100]);
});

it("is not a number if there are no values", () => {
  expect(median([])).toBeNaN();
});
