/**
 * Measures the reaper: the daemon and its script host together, with a script whose handler
 * prints the path. Compares them with a floor, a reaper in C that does the least that any reaper
 * must do; only ratios of figures from the same run count. docs/performance.md explains the
 * figures.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ScratchCgroup } from "@cm4all/testing/cgroup";
import { noteAtMost } from "./goals.ts";
import { compile, type RunningReaper, startReaper, startReaperFloor } from "./programs.ts";
import {
  idle,
  type Reaper,
  type Reaping,
  type ReapMeasurement,
  reap,
  type WatchMeasurement,
  watch,
} from "./reapbench.ts";
import { median } from "./statistics.ts";
import { temporaryDirectory } from "./temporary.ts";

/** The number of measurements of each reaper, one after the other; the medians are printed. */
const ROUNDS = 5;

interface Subject extends Reaping {
  readonly title: string;
  readonly goal?: { readonly cpuUs?: number; readonly p99Ms?: number; readonly drainMs?: number };
}

const SUBJECTS: readonly Subject[] = [
  { title: "500 cgroups become empty, one by one", mode: "seq", count: 500 },
  { title: "500 cgroups made and emptied, one by one", mode: "churn", count: 500 },
  { title: "500 cgroups become empty at once", mode: "burst", count: 500 },
  {
    title: "5,000 cgroups become empty at once",
    mode: "burst",
    count: 5000,
    goal: { cpuUs: 260, drainMs: 1000 },
  },
  { title: "50 cgroups a second", mode: "churn", count: 200, rate: 50, goal: { p99Ms: 80 } },
  { title: "500 cgroups a second", mode: "churn", count: 1500, rate: 500, goal: { p99Ms: 80 } },
  { title: "1,000 cgroups a second", mode: "churn", count: 3000, rate: 1000, goal: { p99Ms: 80 } },
];

const WATCHED = 10_000;
/** The idle reaper is measured for a minute, in this number of equal parts. */
const IDLE_PARTS = 5;
const IDLE_SECONDS = 60 / IDLE_PARTS;
/**
 * The wake-ups that are allowed in a minute: all cgroups are checked every five minutes, and one of
 * these checks may fall into this minute.
 */
const CHECK_WAKEUPS = 10;
/**
 * The pause before the measurement of an idle reaper, in milliseconds: V8 collects garbage a few
 * more times when there is nothing left to do.
 */
const REST_MS = 60_000;

const COLUMNS = [
  ...["CPU us", "no addon", "floor", "CPU x"],
  ...["p50 ms", "p99 ms", "no addon", "floor", "handler"],
  ...["drained", "no addon", "floor"],
];

function printRow(title: string, cells: readonly string[]): void {
  console.log(title.padEnd(44) + cells.map((cell) => cell.padStart(9)).join(""));
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

interface Compared {
  readonly ours: Figures;
  /** The figures without the addon; undefined if they are not measured. */
  readonly without: Figures | undefined;
  readonly floor: Figures;
}

function rowOf({ ours, without, floor }: Compared): string[] {
  const cells = (key: keyof Figures) =>
    [ours, without, floor].map((figures) => figures?.[key].toFixed(0) ?? "");
  return [
    ...cells("cpuUs"),
    (ours.cpuUs / floor.cpuUs).toFixed(2),
    ours.p50Ms.toFixed(0),
    ...cells("p99Ms"),
    ours.handlerMs.toFixed(0),
    ...cells("drainMs"),
  ];
}

function noteGoal({ title, goal = {} }: Subject, { ours, without, floor }: Compared): void {
  const noteOf = (what: string, key: keyof Figures, most: number | undefined, unit: string) => {
    if (most === undefined) return;
    const others = { without: without?.[key], floor: floor[key].toFixed(0) + unit };
    noteAtMost(`${title}: ${what}`, ours[key], most, { unit, ...others });
  };
  noteOf("CPU for each", "cpuUs", goal.cpuUs, " us");
  noteOf("p99 of deletion", "p99Ms", goal.p99Ms, " ms");
  noteOf("drained", "drainMs", goal.drainMs, " ms");
}

function checkAll(who: string, { lua_calls, leaked, count }: ReapMeasurement): void {
  if (leaked > 0 || lua_calls !== count)
    console.log(`  NOT ALL: ${who}: ${lua_calls} handlers, ${leaked} not deleted`);
}

interface Reapers {
  readonly ours: Reaper;
  readonly without: Reaper;
  readonly floor: Reaper;
}

function measureRuns({ ours, without, floor }: Reapers): void {
  printRow("", COLUMNS);
  for (const subject of SUBJECTS) {
    const runs: ReapMeasurement[] = [];
    const withouts: ReapMeasurement[] = [];
    const floors: ReapMeasurement[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      runs.push(reap(ours, subject));
      // Subjects with a given rate are not measured without the addon: that would take minutes
      // longer, and most of their CPU time is for wake-ups.
      if (subject.rate === undefined) withouts.push(reap(without, subject));
      floors.push(reap(floor, subject));
    }
    for (const run of runs) checkAll("ours", run);
    for (const run of withouts) checkAll("without the addon", run);
    for (const run of floors) checkAll("the floor", run);
    const compared = {
      ours: figuresOf(runs),
      without: withouts.length === 0 ? undefined : figuresOf(withouts),
      floor: figuresOf(floors),
    };
    printRow(subject.title, rowOf(compared));
    noteGoal(subject, compared);
  }
}

function printWatching(runs: readonly WatchMeasurement[]): void {
  const middle = (of: (run: WatchMeasurement) => number) => median(runs.map(of));
  const beforeKb = middle(({ rss_kb }) => rss_kb.before);
  const withKb = middle(({ rss_kb }) => rss_kb.with_cgroups);
  const grownKb = middle(({ rss_kb }) => rss_kb.with_cgroups - rss_kb.before);
  const descriptors = middle(({ fds }) => fds.with_cgroups - fds.before);
  console.log(
    `memory (RSS): ${Math.round(beforeKb / 1024)} MiB, with ${WATCHED} cgroups ` +
      `${Math.round(withKb / 1024)} MiB (${(grownKb / WATCHED).toFixed(1)} KiB each); ` +
      `${(descriptors / WATCHED).toFixed(2)} descriptors each`,
  );
}

async function measureIdle(reaper: Reaper): Promise<void> {
  await delay(REST_MS);
  const parts = Array.from({ length: IDLE_PARTS }, () => idle(reaper, IDLE_SECONDS));
  const counts = parts.map(({ wakeups }) => wakeups);
  const wakeups = counts.reduce((a, b) => a + b, 0);
  const cpuMs = parts.reduce((sum, { cpu_s }) => sum + cpu_s.sched * 1000, 0);
  const pssKb = median(parts.map(({ pss_kb }) => pss_kb));
  console.log(
    `idle for a minute: ${wakeups} wake-ups (${counts.join(", ")}) and ${cpuMs.toFixed(1)} ms of CPU; ` +
      `${Math.round(pssKb / 1024)} MiB (PSS)`,
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
    // Each daemon has a cgroup of its own, with one scope, and a journal of its own.
    const scopeOf = (name: string) => scratch.make(`${name}/bench.scope`);
    const start = (name: string, withoutAddon = false) => {
      const place = join(directory.path, name);
      mkdirSync(place, { recursive: true });
      return startReaper({
        directory: place,
        cgroupRoot: dirname(scopeOf(name)),
        script,
        output: handlerLog,
        withoutAddon,
      });
    };
    const watching: WatchMeasurement[] = [];
    for (let round = 1; round < ROUNDS; round++) {
      // A daemon that has had cgroups before would grow less.
      await using daemon = await start("ours");
      watching.push(watch(reaperOf(scopeOf("ours"), daemon), WATCHED));
    }
    await using daemon = await start("ours");
    const ours = reaperOf(scopeOf("ours"), daemon);
    watching.push(watch(ours, WATCHED));
    printWatching(watching);
    await using daemonWithout = await start("without", true);
    const without = reaperOf(scopeOf("without"), daemonWithout);
    // The other daemon does this work, too, so that V8 has compiled as much code in both.
    watch(without, WATCHED);
    const floorScope = scopeOf("floor");
    await using floor = await startReaperFloor(floorScope, handlerLog);
    measureRuns({ ours, without, floor: reaperOf(floorScope, floor) });
    await measureIdle(ours);
  } finally {
    await scratch.remove();
  }
}
