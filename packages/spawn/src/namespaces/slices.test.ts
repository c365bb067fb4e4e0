import { describe, expect, it } from "vitest";
import { monotonicMs } from "../thread/event-loop.ts";
import type { Engine } from "./engine.ts";
import { runInSlices } from "./slices.ts";

const notUsed = () => {
  throw new Error("not used");
};

/** An engine whose timers run when they are told to. */
function makeEngine(): { engine: Engine; turn: () => boolean } {
  const timers: (() => void)[] = [];
  return {
    engine: {
      listen: notUsed,
      adopt: notUsed,
      stopListening: notUsed,
      watch: notUsed,
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
  it("that is short is done at once", () => {
    const { engine, turn } = makeEngine();
    const results: unknown[] = [];
    runInSlices(engine, busyFor(0), (result) => results.push(result), notUsed);
    expect(results).toEqual(["done"]);
    expect(turn()).toBe(false);
  });

  it("that takes long lets others have their turns", () => {
    const { engine, turn } = makeEngine();
    const results: unknown[] = [];
    runInSlices(engine, busyFor(10), (result) => results.push(result), notUsed);
    let turns = 0;
    while (turn()) turns++;
    expect(results).toEqual(["done"]);
    expect(turns).toBe(10);
  });

  it("tells of a system call that failed, and throws everything else", () => {
    const { engine } = makeEngine();
    const error = Object.assign(new Error("EMFILE"), { syscall: "open" });
    const results: unknown[] = [];
    // biome-ignore lint/correctness/useYield: it fails before
    function* fail(with_: Error): Generator<void, string> {
      throw with_;
    }
    const failed = (failure: Error) => results.push(failure);
    runInSlices(engine, fail(error), (result) => results.push(result), failed);
    expect(results).toEqual([error, undefined]);
    expect(() => runInSlices(engine, fail(new TypeError("x")), notUsed, notUsed)).toThrow("x");
  });
});
