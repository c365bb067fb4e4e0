import { beforeEach, describe, expect, it, vi } from "vitest";
import { pollUntil } from "./wait.ts";

/** A clock that advances only during waits, and the pauses of the timers, in milliseconds. */
const time = vi.hoisted(() => ({ nowMs: 0, pausesMs: [] as number[] }));

vi.mock("node:timers/promises", () => ({
  setImmediate: async () => {
    time.nowMs += 0.1;
  },
  setTimeout: async (pauseMs: number) => {
    time.pausesMs.push(pauseMs);
    time.nowMs += pauseMs;
  },
}));

beforeEach(() => {
  time.nowMs = 0;
  time.pausesMs = [];
  vi.spyOn(performance, "now").mockImplementation(() => time.nowMs);
});

describe("pollUntil", () => {
  it("finds a quick answer without a timer", async () => {
    let attempts = 0;
    expect(await pollUntil(1000, () => (++attempts === 10 ? "yes" : undefined))).toBe("yes");
    expect(time.pausesMs).toEqual([]);
  });

  it("tries less and less often while there is no answer, and stops at the deadline", async () => {
    expect(await pollUntil(100, () => undefined)).toBeUndefined();
    expect(time.pausesMs.slice(0, 7)).toEqual([1, 2, 4, 8, 16, 20, 20]);
    expect(time.nowMs).toBe(100);
  });

  it("tries once if there is no time at all", async () => {
    expect(await pollUntil(0, () => 7)).toBe(7);
    expect(await pollUntil(0, () => undefined)).toBeUndefined();
  });
});
