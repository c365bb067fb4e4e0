import { expect, it } from "vitest";
import { median, quantile } from "./statistics.ts";

const HUNDRED = Array.from({ length: 100 }, (_, i) => 99 - i);

it.each([
  [0, 0],
  [0.5, 50],
  [0.99, 99],
  [1, 99],
])("the quantile of %d is the value below which this share of the values lie", (share, value) => {
  expect(quantile(HUNDRED, share)).toBe(value);
});

it("compares values as numbers, and leaves their order alone", () => {
  const values = [10, 9, 100];
  expect(median(values)).toBe(10);
  expect(values).toEqual([10, 9, 100]);
});

it("is not a number if there are no values", () => {
  expect(median([])).toBeNaN();
});
