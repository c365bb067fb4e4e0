import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Lull } from "./lull.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe("Lull", () => {
  it("runs once after the last piece of work, and has no timer before and after", () => {
    const run = vi.fn();
    const lull = new Lull(1000, run);
    expect(vi.getTimerCount()).toBe(0);
    lull.worked();
    vi.advanceTimersByTime(999);
    expect(run).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(run).toHaveBeenCalledTimes(1);
    expect(vi.getTimerCount()).toBe(0);
    vi.advanceTimersByTime(10_000);
    expect(run).toHaveBeenCalledTimes(1);
  });

  it("waits while work goes on, with one timer", () => {
    const run = vi.fn();
    const lull = new Lull(1000, run);
    for (let i = 0; i < 50; i++) {
      lull.worked();
      lull.worked();
      expect(vi.getTimerCount()).toBe(1);
      vi.advanceTimersByTime(100);
    }
    expect(run).not.toHaveBeenCalled();
    vi.advanceTimersByTime(2000);
    expect(run).toHaveBeenCalledTimes(1);
  });

  it("runs again after more work", () => {
    const run = vi.fn();
    const lull = new Lull(1000, run);
    lull.worked();
    vi.advanceTimersByTime(1000);
    lull.worked();
    vi.advanceTimersByTime(1000);
    expect(run).toHaveBeenCalledTimes(2);
  });
});
