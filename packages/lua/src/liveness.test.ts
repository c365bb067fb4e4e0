import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Liveness } from "./liveness.ts";

describe("Liveness", () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => {
    vi.restoreAllMocks();
    vi.useRealTimers();
  });

  function watcher({ busy = true, memoryMiB = 100_000 } = {}) {
    const ping = vi.fn();
    const condemn = vi.fn();
    const liveness = new Liveness({
      timeoutMs: 10_000,
      memoryMiB,
      pid: () => process.pid,
      ping,
      isBusy: () => busy,
      condemn,
    });
    return { liveness, ping, condemn };
  }

  it("condemns a script host that is silent", () => {
    const { liveness, condemn } = watcher();
    liveness.watch();
    vi.advanceTimersByTime(10_000);
    expect(condemn).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1000);
    expect(condemn).toHaveBeenCalledWith("no sign of life for 11 s");
  });

  it("gives a script host its whole time again after this process itself was stopped", () => {
    const { liveness, condemn } = watcher();
    liveness.watch();
    vi.advanceTimersByTime(9000);
    const now = performance.now.bind(performance);
    vi.spyOn(performance, "now").mockImplementation(() => now() + 60_000);
    vi.advanceTimersByTime(11_000);
    expect(condemn).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1000);
    expect(condemn).toHaveBeenCalledWith("no sign of life for 11 s");
  });

  it("accepts anything as a sign of life", () => {
    const { liveness, ping, condemn } = watcher();
    liveness.watch();
    for (let i = 0; i < 5; i++) {
      vi.advanceTimersByTime(9000);
      liveness.heard();
    }
    expect([ping.mock.calls.length, condemn.mock.calls.length]).toEqual([1, 0]);
  });

  it("asks again while there is work, and has no timer otherwise", () => {
    const { liveness, ping } = watcher();
    liveness.watch();
    liveness.watch();
    liveness.answered();
    vi.advanceTimersByTime(1000);
    expect(ping).toHaveBeenCalledTimes(2);
    liveness.stop();
    expect(vi.getTimerCount()).toBe(0);

    const idle = watcher({ busy: false });
    idle.liveness.watch();
    idle.liveness.answered();
    vi.advanceTimersByTime(1000);
    expect([idle.ping.mock.calls.length, vi.getTimerCount()]).toEqual([1, 0]);
  });

  it("condemns a script host that uses more memory than its heap and Node need", () => {
    const { liveness, condemn } = watcher({ memoryMiB: -256 });
    liveness.watch();
    vi.advanceTimersByTime(1000);
    expect(condemn).toHaveBeenCalledWith(expect.stringMatching(/^it uses \d+ MiB of memory$/));
  });
});
