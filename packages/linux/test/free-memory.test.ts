import { setTimeout as delay } from "node:timers/promises";
import { getHeapSpaceStatistics } from "node:v8";
import { collectsGarbage } from "@cm4all/testing";
import { expect, it } from "vitest";
import { freeMemory, GarbageBound, MAX_PASSED_BYTES, QUIET_MS } from "../src/index.ts";

const MIB = 1 << 20;

/** Returns the size of the space for short-lived objects. */
function newSpaceMiB(): number {
  const space = getHeapSpaceStatistics().find(({ space_name }) => space_name === "new_space");
  return (space?.space_size ?? Number.NaN) / MIB;
}

/** Allocates objects of which many live long enough for the space to grow. */
function allocate(): void {
  for (let i = 0; i < 200; i++) {
    const kept: unknown[] = [];
    for (let j = 0; j < 20_000; j++) kept.push({ j, list: [j] });
  }
}

it("freeMemory gives back the space for short-lived objects in two calls at most", async () => {
  allocate();
  expect(newSpaceMiB()).toBeGreaterThan(8);
  freeMemory();
  await delay(QUIET_MS);
  freeMemory();
  expect(newSpaceMiB()).toBeLessThan(4);
});

it("GarbageBound collects garbage once MAX_PASSED_BYTES have passed, and not before", async () => {
  const garbage = new GarbageBound();
  expect(await collectsGarbage(() => garbage.passed(MAX_PASSED_BYTES - 1))).toBe(false);
  expect(await collectsGarbage(() => garbage.passed(1))).toBe(true);
});
