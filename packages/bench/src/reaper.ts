/**
 * Measures the reaper: the daemon and its script host together, with a script whose handler
 * prints the path, compared with a floor: a reaper in C that does the least. Only ratios of one
 * run can be compared. docs/performance.md explains how to read them.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ScratchCgroup } from "@cm4all/testing/cgroup";
import { noteAtMost } from "./goals.ts";
import { compile, type RunningReaper, startReaper, startReaperFloor } from "./programs.ts";
import { idle, type Reaper, type Reaping, type ReapMeasurement, reap, watch } from "./reapbench.ts";
import { median } from "./statistics.ts";
import { temporaryDirectory } from "./temporary.ts";

/** The number of measurements of each reaper, one after the other; the medians are printed. */
const ROUNDS = 5;

interface Subject extends Reaping {
  readonly title: string;
  readonly goal?: { readonly cpuUs?: number; readonly p99Ms?: number; readonly drainMs?: number };
}

const SUBJECTS: readonly Subject[] = [
  { title: "500 run empty one by one", mode: "seq", count: 500 },
  { title: "500 made and left one by one", mode: "churn", count: 500 },
  { title: "500 run empty at once", mode: "burst", count: 500 },
  {
    title: "5,000 run empty at once",
    mode: "burst",
    count: 5000,
    goal: { cpuUs: 260, drainMs: 1000 },
  },
  { title: "50 a second", mode: "churn", count: 200, rate: 50, goal: { p99Ms: 80 } },
  { title: "500 a second", mode: "churn", count: 1500, rate: 500, goal: { p99Ms: 80 } },
  { title: "1,000 a second", mode: "churn", count: 3000, rate: 1000, goal: { p99Ms: 80 } },
];

const WATCHED = 10_000;
const IDLE_SECONDS = 60;
/**
 * The wake-ups that are allowed in a minute, which may include one of the checks of all cgroups
 * every five minutes.
 */
const CHECK_WAKEUPS = 10;
/**
 * The pause before the measurement of an idle reaper, milliseconds: V8 collects garbage a few
 * more times when there is nothing left to do.
 */
const REST_MS = 60_000;

const COLUMNS = [
  ...["CPU us", "floor", "CPU x"],
  ...["p50 ms", "p99 ms", "floor", "handler"],
  ...["drained", "floor"],
];

function printRow(title: string, cells: readonly string[]): void {
  console.log(title.padEnd(30) + cells.map((cell) => cell.padStart(9)).join(""));
}

const middle = (runs: readonly ReapMeasurement[], of: (run: ReapMeasurement) => number) =>
  median(runs.map(of));

/** Returns the medians of some runs. */
function figuresOf(runs: readonly ReapMeasurement[]) {
  return {
    cpuUs: middle(runs, ({ daemon_cpu_us_per_cgroup: cpu }) => cpu),
    p50Ms: middle(runs, ({ exit_to_delete_ms: waits }) => waits?.p50 ?? Number.NaN),
    p99Ms: middle(runs, ({ exit_to_delete_ms: waits }) => waits?.p99 ?? Number.NaN),
    handlerMs: middle(runs, ({ exit_to_lua_ms: waits }) => waits?.p50 ?? Number.NaN),
    drainMs: middle(runs, ({ drain_ms: drain }) => drain),
  };
}

type Figures = ReturnType<typeof figuresOf>;

function rowOf(ours: Figures, floor: Figures): string[] {
  return [
    ours.cpuUs.toFixed(0),
    floor.cpuUs.toFixed(0),
    (ours.cpuUs / floor.cpuUs).toFixed(2),
    ours.p50Ms.toFixed(0),
    ours.p99Ms.toFixed(0),
    floor.p99Ms.toFixed(0),
    ours.handlerMs.toFixed(0),
    ours.drainMs.toFixed(0),
    floor.drainMs.toFixed(0),
  ];
}

function noteGoal({ title, goal = {} }: Subject, ours: Figures, floor: Figures): void {
  const work = `cgroups, ${title}`;
  const us = { unit: " us", floor: `${floor.cpuUs.toFixed(0)} us` };
  if (goal.cpuUs !== undefined) noteAtMost(`${work}: CPU`, ours.cpuUs, goal.cpuUs, us);
  const p99 = { unit: " ms", floor: `${floor.p99Ms.toFixed(0)} ms` };
  if (goal.p99Ms !== undefined) noteAtMost(`${work}: p99 of deletion`, ours.p99Ms, goal.p99Ms, p99);
  const drained = { unit: " ms", floor: `${floor.drainMs.toFixed(0)} ms` };
  if (goal.drainMs !== undefined)
    noteAtMost(`${work}: drained`, ours.drainMs, goal.drainMs, drained);
}

function checkAll(who: string, { lua_calls, leaked, count }: ReapMeasurement): void {
  if (leaked > 0 || lua_calls !== count)
    console.log(`  NOT ALL: ${who}: ${lua_calls} handlers, ${leaked} not deleted`);
}

function measureRuns(ours: Reaper, floor: Reaper): void {
  printRow("", COLUMNS);
  for (const subject of SUBJECTS) {
    const runs: ReapMeasurement[] = [];
    const floors: ReapMeasurement[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      runs.push(reap(ours, subject));
      floors.push(reap(floor, subject));
    }
    for (const run of runs) checkAll("ours", run);
    for (const run of floors) checkAll("the floor", run);
    const [figures, floorFigures] = [figuresOf(runs), figuresOf(floors)];
    printRow(subject.title, rowOf(figures, floorFigures));
    noteGoal(subject, figures, floorFigures);
  }
}

function measureWatching(reaper: Reaper): void {
  const { rss_kb, fds } = watch(reaper, WATCHED);
  const grownKb = rss_kb.with_cgroups - rss_kb.before;
  console.log(
    `memory (RSS): ${Math.round(rss_kb.before / 1024)} MiB, with ${WATCHED} cgroups ` +
      `${Math.round(rss_kb.with_cgroups / 1024)} MiB (${(grownKb / WATCHED).toFixed(1)} KiB each); ` +
      `${((fds.with_cgroups - fds.before) / WATCHED).toFixed(2)} descriptors each`,
  );
}

async function measureIdle(reaper: Reaper): Promise<void> {
  await delay(REST_MS);
  const { elapsed_s, wakeups, cpu_s, pss_kb } = idle(reaper, IDLE_SECONDS);
  console.log(
    `idle for a minute: ${wakeups} wake-ups and ${(cpu_s.sched * 1000).toFixed(1)} ms of CPU in ` +
      `${elapsed_s.toFixed(0)} s; ${Math.round(pss_kb / 1024)} MiB (PSS)`,
  );
  noteAtMost("idle after cgroups: wake-ups in a minute", wakeups, CHECK_WAKEUPS);
}

/** Prints the cost of reaping, compared with the floor in C. */
export async function measureReaper(): Promise<void> {
  const program = compile("reapbench");
  using directory = temporaryDirectory();
  const handlerLog = join(directory.path, "handlers");
  writeFileSync(handlerLog, "");
  const script = join(directory.path, "accounting.lua");
  writeFileSync(script, "function cgroup_released(cgroup) print(cgroup.path) end");
  const scratch = new ScratchCgroup();
  try {
    const reaperOf = (scope: string, { pids }: RunningReaper): Reaper => ({
      program,
      scope,
      pids,
      handlerLog,
    });
    const scope = scratch.make("bench.scope");
    // This is not a scope of the daemon.
    const floorScope = scratch.make("floor");
    await using daemon = await startReaper({
      directory: directory.path,
      cgroupRoot: scratch.path,
      script,
      output: handlerLog,
    });
    await using floor = await startReaperFloor(floorScope, handlerLog);
    const reaper = reaperOf(scope, daemon);
    measureWatching(reaper);
    measureRuns(reaper, reaperOf(floorScope, floor));
    await measureIdle(reaper);
  } finally {
    await scratch.remove();
  }
}
