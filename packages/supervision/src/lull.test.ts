import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Lull } from "./lull.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe("Lull", () => {
  it("calls its function after the last piece of work and once more, and then has no timer", () => {
    const run = vi.fn();
    const lull = new Lull(1000, run);
    expect(vi.getTimerCount()).toBe(0);
    lull.worked();
    vi.advanceTimersByTime(999);
    expect(run).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(run).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(1000);
    expect(run).toHaveBeenCalledTimes(2);
    expect(vi.getTimerCount()).toBe(0);
    vi.advanceTimersByTime(10_000);
    expect(run).toHaveBeenCalledTimes(2);
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
    vi.advanceTimersByTime(1999);
    expect(run).toHaveBeenCalledTimes(1);
  });

  it("begins anew after more work, even if that comes between the two calls", () => {
    const run = vi.fn();
    const lull = new Lull(1000, run);
    lull.worked();
    vi.advanceTimersByTime(1500);
    expect(run).toHaveBeenCalledTimes(1);
    lull.worked();
    vi.advanceTimersByTime(500);
    expect(run).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(1000);
    expect(run).toHaveBeenCalledTimes(2);
    vi.advanceTimersByTime(10_000);
    expect(run).toHaveBeenCalledTimes(3);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("begins anew each time that the function itself notes work", () => {
    let runs = 0;
    const lull = new Lull(1000, () => {
      if (++runs < 5) lull.worked();
    });
    lull.worked();
    vi.advanceTimersByTime(5000);
    expect(runs).toBe(5);
    vi.advanceTimersByTime(10_000);
    expect(runs).toBe(6);
    expect(vi.getTimerCount()).toBe(0);
  });
});
