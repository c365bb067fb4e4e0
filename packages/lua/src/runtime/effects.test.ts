import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { RunEffects } from "./effects.ts";

function asking() {
  const request = { ask: vi.fn(async () => {}), askSync: vi.fn() };
  return { request, effects: new RunEffects(request) };
}

describe("the effects of a run", () => {
  it("ask the daemon once, however often begin and beginSync are called", async () => {
    const { request, effects } = asking();
    const first = effects.begin();
    expect(effects.begin()).toBe(first);
    await first;
    expect(effects.begin()).toBeUndefined();
    effects.beginSync();
    expect([request.ask.mock.calls.length, request.askSync.mock.calls.length]).toEqual([1, 0]);

    const blocking = asking();
    blocking.effects.beginSync();
    blocking.effects.beginSync();
    expect(blocking.effects.begin()).toBeUndefined();
    expect(blocking.request.ask).not.toHaveBeenCalled();
    expect(blocking.request.askSync).toHaveBeenCalledTimes(1);
  });

  it("stay refused", async () => {
    const { request, effects } = asking();
    request.ask.mockRejectedValue(new Error("the disk is full"));
    await expect(effects.begin()).rejects.toThrow("the disk is full");
    await expect(effects.begin()).rejects.toThrow("the disk is full");
    expect(request.ask).toHaveBeenCalledTimes(1);
  });

  it("do not ask the daemon if the run may be repeated", () => {
    const effects = new RunEffects(undefined);
    expect(effects.begin()).toBeUndefined();
    effects.beginSync();
    effects.taken();
    expect(effects.state).toBe("taken");
  });

  it("are unanswered while any answer is due", () => {
    const { effects } = asking();
    expect(effects.state).toBe("none");
    const [first, second, third] = [effects.sent(), effects.sent(), effects.sent()];
    first("none");
    first("none");
    second("taken");
    expect(effects.state).toBe("unanswered");
    third("none");
    expect(effects.state).toBe("taken");
  });
});

describe("a callback that waits for the answers to a run's effects", () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  it("is called immediately if no answer is due, otherwise after the last one or at the timeout", () => {
    const { effects } = asking();
    const callback = vi.fn();
    effects.whenAnswered(1000, callback);
    expect(callback).toHaveBeenCalledTimes(1);

    const [first, second] = [effects.sent(), effects.sent()];
    effects.whenAnswered(1000, callback);
    first("none");
    expect(callback).toHaveBeenCalledTimes(1);
    second("none");
    expect(callback).toHaveBeenCalledTimes(2);

    const late = effects.sent();
    effects.whenAnswered(1000, callback);
    vi.advanceTimersByTime(1000);
    expect([callback.mock.calls.length, effects.state]).toEqual([3, "unanswered"]);
    late("taken");
    expect([callback.mock.calls.length, vi.getTimerCount()]).toEqual([3, 0]);
  });
});
