/** Tests the order of a check's steps; the tree and the cgroups here only record the calls. */
import { bytesOfText, latin1Of } from "@cm4all/linux";
import { beforeEach, expect, it } from "vitest";
import type { EventLoop } from "../thread/event-loop.ts";
import { PeriodicCheck } from "./check.ts";
import type { Lifecycle } from "./lifecycle.ts";
import type { Place } from "./scopes.ts";
import { type Difference, TreeNode } from "./tree-node.ts";
import type { TreeWatch } from "./tree-watch.ts";

const PLACE = {} as Place;
const root = TreeNode.root(PLACE, 1);
const job = new TreeNode(root, bytesOfText("job"), PLACE, 2);
const appeared: Difference<Place> = { kind: "appeared", node: root, name: bytesOfText("new") };

let log: string[];
let timers: { delayMs: number; run: () => void }[];
/** The number of events that the tree has yet to handle. */
let events: number;
let differences: Difference<Place>[];
let differing: TreeNode<Place>[];
let check: PeriodicCheck;

const loop = {
  after: (delayMs: number, run: () => void) => timers.push({ delayMs, run }),
} as unknown as EventLoop;

function* saying<T = void>(text: string, value: () => T): Generator<void, T> {
  log.push(text);
  yield;
  return value();
}

const tree = {
  retryWatches: () => saying("retry watches", () => {}),
  *settle() {
    log.push("settle");
    while (events-- > 0) yield;
  },
  compare: () => saying("compare", () => differences),
  apply: (found: readonly Difference<Place>[]) =>
    saying(`apply ${found.map(({ kind, name }) => `${kind} ${latin1Of(name)}`)}`, () => {}),
} as unknown as TreeWatch<Place>;

const lifecycle = {
  retry: () => saying("retry", () => {}),
  measureRunning: () => saying("measure", () => {}),
  differing: () => saying("look", () => differing),
  touched: (node: TreeNode<Place>, origin: string) =>
    log.push(`touched ${latin1Of(node.path)} ${origin}`),
} as unknown as Lifecycle<TreeNode<Place>>;

beforeEach(() => {
  log = [];
  timers = [];
  events = 0;
  differences = [];
  differing = [];
  check = new PeriodicCheck(loop, tree, lifecycle, 5000, {
    begins: () => log.push("begins"),
    retried: () => log.push("retried"),
    missed: (count) => log.push(`missed ${count}`),
    wake: () => log.push("wake"),
  });
});

/** Runs the first timer. */
function fire(): number {
  const timer = timers.shift();
  if (timer === undefined) throw new Error("nothing is planned");
  timer.run();
  return timer.delayMs;
}

/** Does everything that is to be done; returns the number of steps and the calls. */
function finish(): { steps: number; log: string[] } {
  let steps = 0;
  while (check.step()) steps++;
  return { steps, log: log.splice(0) };
}

const CHECK = ["retry watches", "settle", "retried", "retry", "measure", "compare", "look"];

it("does nothing until its interval is over, and then checks at each interval", () => {
  check.start();
  expect(check.step()).toBe(false);
  expect(log).toEqual([]);
  for (let i = 0; i < 2; i++) {
    expect(fire()).toBe(5000);
    expect(finish()).toEqual({ steps: 6, log: ["wake", "begins", ...CHECK] });
    expect(timers).toHaveLength(1);
  }
});

it("does not begin a check while another is under way", () => {
  check.start();
  fire();
  expect(check.step()).toBe(true);
  fire();
  expect(finish().log).toEqual(["wake", "begins", ...CHECK]);
});

it("handles the events first, one in each step", () => {
  check.start();
  fire();
  events = 3;
  expect(finish().steps).toBe(9);
});

it("measures running cgroups when it is asked for a sample", () => {
  check.sample();
  expect(finish()).toEqual({ steps: 2, log: ["wake", "measure"] });
});

it("repairs what still differs after the grace period, and counts it", () => {
  check.start();
  differences = [appeared];
  differing = [job];
  fire();
  expect(finish().log).not.toContain("missed");
  expect(timers.map(({ delayMs }) => delayMs)).toEqual([5000, 1000]);
  timers.shift();
  fire();
  const { log: confirmed, steps } = finish();
  expect(confirmed).toEqual([
    "wake",
    "settle",
    "compare",
    "look",
    "apply appeared new",
    "touched /job comparison",
    "missed 2",
  ]);
  // One step for each comparison, two for the difference, one for the state, and one at the end.
  expect(steps).toBe(6);
});

it("leaves alone what events have reported in the meantime, and new differences", () => {
  check.start();
  differing = [job];
  fire();
  finish();
  differing = [];
  differences = [appeared];
  timers.shift();
  events = 1;
  fire();
  expect(finish().log).toEqual(["wake", "settle", "compare", "look"]);
});
