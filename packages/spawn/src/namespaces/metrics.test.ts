import { expect, it } from "vitest";
import { NAMESPACE_METRICS } from "./metrics.ts";

it("the bucket bounds of request durations rise from 50 µs to 1 s, at most fourfold at a time", () => {
  const { bounds } = NAMESPACE_METRICS.requestDurationSeconds;
  expect([bounds[0], bounds.at(-1)]).toEqual([0.00005, 1]);
  const before: readonly number[] = bounds.slice(0, -1);
  for (const [i, bound] of bounds.slice(1).entries()) {
    expect(bound).toBeGreaterThan(before[i] ?? Number.NaN);
    expect(bound).toBeLessThanOrEqual(4 * (before[i] ?? Number.NaN));
  }
});
