import { expect, it } from "vitest";
import { Allowance } from "./allowance.ts";

/** Takes all that are left at `nowMs`, and returns their number. */
function takeAll(allowance: Allowance, nowMs: number): number {
  let count = 0;
  while (allowance.tryTake(nowMs)) count++;
  return count;
}

it("allows a burst, and then a number per second", () => {
  const allowance = new Allowance(10, 2);
  expect(takeAll(allowance, 1_000)).toBe(10);
  expect(takeAll(allowance, 1_499)).toBe(0);
  expect(takeAll(allowance, 1_500)).toBe(1);
  expect(takeAll(allowance, 3_000)).toBe(3);
});

it("saves up no more than a burst", () => {
  const allowance = new Allowance(10, 2);
  takeAll(allowance, 0);
  expect(takeAll(allowance, 3_600_000)).toBe(10);
});

it("allows the whole burst at first, whatever the clock shows", () => {
  expect(takeAll(new Allowance(3, 1), 1e9)).toBe(3);
});

it("returns how long to wait for the next one", () => {
  const allowance = new Allowance(1, 2);
  expect(allowance.waitMs(0)).toBe(0);
  allowance.tryTake(0);
  expect(allowance.waitMs(0)).toBe(500);
  expect(allowance.waitMs(200)).toBe(300);
  expect(allowance.waitMs(600)).toBe(0);
  expect(allowance.tryTake(500)).toBe(true);
});
