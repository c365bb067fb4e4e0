import { beforeEach, expect, it } from "vitest";
import type { EventLoop } from "../thread/event-loop.ts";
import { Interim } from "./interim.ts";

let now: number;
let timers: { dueMs: number; run: () => void }[];
let looks: number[];
/** The index of the cgroup that was measured, for each measurement. */
let places: number[];
let wakes: number;
let count: number;
let interim: Interim;

const loop = {
  after: (delayMs: number, run: () => void) => {
    const timer = { dueMs: now + delayMs, run };
    timers.push(timer);
    return { cancel: () => timers.splice(timers.indexOf(timer), 1) };
  },
} as unknown as EventLoop;

beforeEach(() => {
  now = 0;
  timers = [];
  looks = [];
  places = [];
  wakes = 0;
  count = 0;
  interim = new Interim(loop, {
    count: () => count,
    *round() {
      for (let i = 0; i < count; i++) {
        looks.push(now);
        places.push(i);
        yield;
      }
    },
    wake: () => wakes++,
  });
});

/** Lets this number of milliseconds pass. */
function pass(ms: number): void {
  const end = now + ms;
  for (;;) {
    timers.sort((a, b) => a.dueMs - b.dueMs);
    const next = timers[0];
    if (next === undefined || next.dueMs > end) break;
    timers.shift();
    now = next.dueMs;
    next.run();
    while (interim.step());
  }
  now = end;
}

it("spreads the measurements evenly over the interval", () => {
  count = 600;
  interim.configure(60_000);
  pass(120_000);
  expect(looks.length).toBeGreaterThan(1100);
  expect(looks.length).toBeLessThanOrEqual(1200);
  for (let second = 1; second < 120; second++) {
    const inSecond = looks.filter((at) => Math.floor(at / 1000) === second).length;
    expect(inSecond).toBeGreaterThanOrEqual(8);
    expect(inSecond).toBeLessThanOrEqual(11);
  }
});

it("measures a few at a time if there are thousands", () => {
  count = 10_000;
  interim.configure(60_000);
  pass(60_000);
  const atOnce = new Map<number, number>();
  for (const at of looks) atOnce.set(at, (atOnce.get(at) ?? 0) + 1);
  expect(Math.max(...atOnce.values())).toBeLessThan(15);
  expect(wakes).toBe(60_000 / 50);
  expect(looks.length).toBeGreaterThan(9500);
});

it("without cgroups, wakes up ten times in an interval, and measures a new cgroup in time", () => {
  interim.configure(3_600_000);
  pass(3_600_000);
  expect(wakes).toBe(10);
  count = 1;
  pass(3_700_000);
  expect(looks).toHaveLength(1);
});

it("does nothing before it is configured and after it is switched off", () => {
  count = 10;
  pass(1_000_000);
  expect(looks).toEqual([]);
  interim.configure(1000);
  pass(5000);
  const { length } = looks;
  expect(length).toBeGreaterThan(30);
  interim.configure(0);
  pass(1_000_000);
  expect(looks).toHaveLength(length);
  expect(timers).toEqual([]);
});

it("goes on unchanged if the configuration is the same", () => {
  count = 10;
  interim.configure(1000);
  pass(1050);
  const before = [...looks];
  expect(places).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  interim.configure(1000);
  pass(2000);
  expect(looks.slice(0, 10)).toEqual(before);
  expect(looks[10]).toBe(1200);
});

it("begins a new round, with nothing owed, if the interval changes", () => {
  count = 30;
  interim.configure(1000);
  pass(50);
  expect(places).toEqual([0]);
  places = [];
  interim.configure(600);
  expect(interim.step()).toBe(false);
  pass(50);
  expect(places).toEqual([0, 1]);
});

it("begins each round with nothing owed, whatever was owed at the end of the previous one", () => {
  count = 30;
  interim.configure(1000);
  pass(21 * 50);
  expect(places).toHaveLength(30);
  pass(50);
  expect(places.slice(30)).toEqual([0]);
});
