import { describe, expect, it } from "vitest";
import { type EventLoop, monotonicMs } from "../../thread/event-loop.ts";
import { runInSlices } from "./slices.ts";

const notUsed = () => {
  throw new Error("not used");
};

/** A loop that runs its timers only on request. */
function makeLoop(): { loop: Pick<EventLoop, "after">; turn: () => boolean } {
  const timers: (() => void)[] = [];
  return {
    loop: {
      after: (_, run) => {
        timers.push(run);
        return { cancel: notUsed };
      },
    },
    turn: () => {
      const run = timers.shift();
      run?.();
      return run !== undefined;
    },
  };
}

function* busyFor(milliseconds: number): Generator<void, string> {
  for (let step = 0; step < milliseconds; step++) {
    const endMs = monotonicMs() + 1;
    while (monotonicMs() < endMs);
    yield;
  }
  return "done";
}

describe("work in slices", () => {
  it("is done immediately if it is short", () => {
    const { loop, turn } = makeLoop();
    const results: unknown[] = [];
    runInSlices(loop, busyFor(0), (result) => results.push(result), notUsed);
    expect(results).toEqual(["done"]);
    expect(turn()).toBe(false);
  });

  it("lets other work run in between if it takes long", () => {
    const { loop, turn } = makeLoop();
    const results: unknown[] = [];
    runInSlices(loop, busyFor(10), (result) => results.push(result), notUsed);
    let turns = 0;
    while (turn()) turns++;
    expect(results).toEqual(["done"]);
    expect(turns).toBe(10);
  });

  it("reports a failed system call, and throws everything else", () => {
    const { loop } = makeLoop();
    const error = Object.assign(new Error("EMFILE"), { syscall: "open" });
    const results: unknown[] = [];
    // biome-ignore lint/correctness/useYield: it throws before it could yield
    function* fail(with_: Error): Generator<void, string> {
      throw with_;
    }
    const failed = (failure: Error) => results.push(failure);
    runInSlices(loop, fail(error), (result) => results.push(result), failed);
    expect(results).toEqual([error, undefined]);
    expect(() => runInSlices(loop, fail(new TypeError("x")), notUsed, notUsed)).toThrow("x");
  });
});
