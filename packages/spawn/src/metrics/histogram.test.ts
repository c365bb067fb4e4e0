import { expect, it } from "vitest";
import { countOf, emptyHistogram, observe } from "./histogram.ts";

it("counts a value in the first bucket whose bound it does not exceed", () => {
  const histogram = emptyHistogram([1, 10]);
  for (const value of [0, 1, 1.5, 10, 11, 1000]) observe(histogram, value);
  expect(histogram).toEqual({ bounds: [1, 10], counts: [2, 2, 2], sum: 1023.5 });
  expect(countOf(histogram)).toBe(6);
});
