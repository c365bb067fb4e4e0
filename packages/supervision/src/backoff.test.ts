import { describe, expect, it } from "vitest";
import { Backoff, doubling, pauseAfter } from "./backoff.ts";

describe("doubling", () => {
  it.each([
    [1000, 60_000, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000]],
    [1, 20, [1, 2, 4, 8, 16, 20]],
    // The longest pause appears once, even if doubling leads to it.
    [1, 4, [1, 2, 4]],
    [5, 6, [5, 6]],
    [7, 7, [7]],
  ])("leads from %d to %d", (first, longest, expected) => {
    expect(doubling(first, longest)).toEqual(expected);
  });

  it.each([
    [0, 10],
    [-1, 10],
    [11, 10],
    [Number.NaN, 10],
  ])("refuses to lead from %d to %d", (first, longest) => {
    expect(() => doubling(first, longest)).toThrow(RangeError);
  });
});

describe("pauseAfter", () => {
  it("returns each pause in turn, and then always the last one", () => {
    expect([1, 2, 3, 4, 1e9].map((failures) => pauseAfter([5, 6, 9], failures))).toEqual([
      5, 6, 9, 9, 9,
    ]);
  });

  it("accepts a pause of 0", () => {
    expect([1, 2].map((failures) => pauseAfter([0, 1000], failures))).toEqual([0, 1000]);
    expect(pauseAfter([5, 0], 3)).toBe(0);
  });
});

describe("Backoff", () => {
  it("returns a longer pause after each failure, and begins anew after a reset", () => {
    const backoff = new Backoff([1, 2, 3]);
    const next = () => backoff.failed();
    expect([next(), next(), next(), next()]).toEqual([1, 2, 3, 3]);
    backoff.reset();
    expect([next(), next()]).toEqual([1, 2]);
  });

  it("shares nothing with another instance that has the same pauses", () => {
    const pauses = doubling(1, 8);
    const one = new Backoff(pauses);
    const other = new Backoff(pauses);
    one.failed();
    expect([one.failed(), other.failed()]).toEqual([2, 1]);
  });
});
