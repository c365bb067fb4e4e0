import { drainEventfd, EPOLLIN, eventfd, signalEventfd } from "@cm4all/linux";
import { expect, it } from "vitest";
import { EventLoop, monotonicMs } from "../thread/event-loop.ts";
import { TURN_MS, Turns } from "./turns.ts";

/** Returns a loop and a clock that advance only on request. A turn that never ends is an error. */
function open(steps: (() => boolean)[]) {
  const state = { now: 0, began: 0, turns: 0, pending: [] as (() => void)[] };
  const loop = {
    after: (_: number, run: () => void) => {
      state.pending.push(run);
      return { cancel: () => undefined };
    },
  };
  const turns = new Turns(
    loop,
    steps.map((step) => () => {
      const isBusy = step();
      if (isBusy) state.now += 1;
      if (state.now > state.began + 10 * TURN_MS) throw new Error("the turn does not end");
      return isBusy;
    }),
    () => state.turns++,
    () => state.now,
  );
  const turn = () => {
    state.began = state.now;
    state.pending.shift()?.();
  };
  return { turns, state, turn };
}

it("ends a turn in time even if there is more to do, and gives each kind of work its share", () => {
  const done = { endless: 0, other: 0 };
  let left = 100;
  const { turns, state, turn } = open([
    () => ++done.endless > 0,
    () => false,
    () => left-- > 0 && ++done.other > 0,
  ]);
  turns.wake();
  turns.wake();
  expect(state.pending).toHaveLength(1);
  turn();
  expect(state.now).toBeLessThanOrEqual(TURN_MS + 2);
  expect(state.turns).toBe(1);
  expect(done.other).toBe(done.endless);
  for (let i = 0; i < 10; i++) turn();
  expect(done.other).toBe(100);
  expect(state.turns).toBe(11);
});

it("ends a turn when nothing is left to do, and begins the next when it is woken", () => {
  let left = 3;
  const { turns, state, turn } = open([() => left-- > 0]);
  turns.wake();
  turn();
  expect(left).toBe(-1);
  expect(state.turns).toBe(1);
  expect(state.pending).toEqual([]);
  turns.wake();
  turn();
  expect(state.turns).toBe(2);
});

it("begins another turn when it is woken, even after a turn without work", () => {
  const { turns, state, turn } = open([() => false]);
  turns.wake();
  turn();
  turns.wake();
  expect(state.pending).toHaveLength(1);
});

it("serves the timers and descriptors of its loop, however much there is to do", () => {
  const loop = new EventLoop();
  using wakeups = eventfd();
  let served = 0;
  loop.watch(wakeups.number, EPOLLIN, () => {
    drainEventfd(wakeups.number);
    if (++served < 5) signalEventfd(wakeups.number);
    else loop.stop();
  });
  signalEventfd(wakeups.number);
  // The test fails at this time if a turn does not end, which would starve the loop.
  const lastMs = monotonicMs() + 5_000;
  let isStarved = false;
  const endless = () => {
    isStarved ||= monotonicMs() > lastMs;
    if (isStarved) loop.stop();
    return !isStarved;
  };
  const turns = new Turns(loop, [endless], () => undefined, monotonicMs);
  turns.wake();
  loop.run();
  loop.close();
  expect({ served, isStarved }).toEqual({ served: 5, isStarved: false });
});
