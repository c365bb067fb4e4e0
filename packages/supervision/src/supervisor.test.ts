import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Supervised, Supervisor } from "./supervisor.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** Makes a supervisor, and a `Supervised.start` that only counts its calls. */
function supervise(options: Partial<Supervised> = {}): {
  supervisor: Supervisor;
  start: ReturnType<typeof vi.fn<() => void>>;
} {
  const start = vi.fn<() => void>();
  return { supervisor: new Supervisor({ pauses: [100, 200, 400], start, ...options }), start };
}

describe("Supervisor", () => {
  it("starts nothing by itself", () => {
    const { supervisor, start } = supervise();
    vi.advanceTimersByTime(10_000);
    expect(start).not.toHaveBeenCalled();
    expect(supervisor.state).toBe("stopped");
  });

  it("starts the instance again after each pause, and not earlier", () => {
    const { supervisor, start } = supervise();
    supervisor.start();
    expect(supervisor.state).toBe("running");
    for (const [i, pauseMs] of [100, 200, 400, 400].entries()) {
      expect(supervisor.ended()).toBe(pauseMs);
      expect(supervisor.state).toBe("pausing");
      vi.advanceTimersByTime(pauseMs - 1);
      expect(start).toHaveBeenCalledTimes(i + 1);
      vi.advanceTimersByTime(1);
      expect(start).toHaveBeenCalledTimes(i + 2);
      expect(supervisor.state).toBe("running");
    }
    expect(vi.getTimerCount()).toBe(0);
  });

  it("begins with the first pause again after a long run, or once the instance has done its work", () => {
    const { supervisor } = supervise({ ranWellMs: 1000 });
    supervisor.start();
    supervisor.ended();
    vi.advanceTimersByTime(100);
    vi.advanceTimersByTime(1000);
    // The instance has run for exactly `ranWellMs`, not longer.
    expect(supervisor.ended()).toBe(200);
    vi.advanceTimersByTime(200);
    vi.advanceTimersByTime(1001);
    expect(supervisor.ended()).toBe(100);
    vi.advanceTimersByTime(100);
    expect(supervisor.ended()).toBe(200);
    vi.advanceTimersByTime(200);
    supervisor.worked();
    expect(supervisor.ended()).toBe(100);
  });

  it("counts the time for which the instance runs, not the time of the pause", () => {
    const { supervisor } = supervise({ ranWellMs: 1000, pauses: [5000, 6000] });
    supervisor.start();
    supervisor.ended();
    vi.advanceTimersByTime(5000);
    expect(supervisor.ended()).toBe(6000);
  });

  it("ends a pause when it is stopped, and starts nothing afterwards", () => {
    const { supervisor, start } = supervise();
    supervisor.start();
    supervisor.ended();
    supervisor.stop();
    expect(supervisor.state).toBe("stopped");
    expect(vi.getTimerCount()).toBe(0);
    vi.advanceTimersByTime(10_000);
    expect(start).toHaveBeenCalledTimes(1);
  });

  it("does not start the instance again if it ends after stop()", () => {
    const { supervisor, start } = supervise();
    supervisor.start();
    supervisor.stop();
    expect(supervisor.ended()).toBeUndefined();
    expect(vi.getTimerCount()).toBe(0);
    vi.advanceTimersByTime(10_000);
    expect(start).toHaveBeenCalledTimes(1);
  });

  it("has at most one timer, even after a second ended() or a start() during a pause", () => {
    const { supervisor, start } = supervise();
    supervisor.start();
    supervisor.ended();
    expect(supervisor.ended()).toBeUndefined();
    expect(vi.getTimerCount()).toBe(1);
    supervisor.start();
    expect(vi.getTimerCount()).toBe(0);
    supervisor.start();
    expect(start).toHaveBeenCalledTimes(2);
    // A call of start() during a pause does not make the pauses begin anew.
    expect(supervisor.ended()).toBe(200);
  });

  it("pauses even if the instance ends while it is being started", () => {
    let starts = 0;
    const supervisor = new Supervisor({
      pauses: [100],
      start: () => {
        starts++;
        expect(supervisor.ended()).toBe(100);
      },
    });
    supervisor.start();
    expect(supervisor.state).toBe("pausing");
    vi.advanceTimersByTime(250);
    expect(starts).toBe(3);
  });

  it("can be started again after it was stopped", () => {
    const { supervisor, start } = supervise();
    supervisor.start();
    supervisor.stop();
    supervisor.start();
    expect(supervisor.state).toBe("running");
    expect(start).toHaveBeenCalledTimes(2);
  });
});
