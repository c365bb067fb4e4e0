/** Measures the cost of a request, a new name and a cgroup when there are few or many others. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ScratchCgroup } from "@cm4all/testing/cgroup";
import { noteAtMost } from "./goals.ts";
import { type Measurement, measure } from "./nsbench.ts";
import { compile, purge, startDaemon, startReaper } from "./programs.ts";
import { reap } from "./reapbench.ts";
import { median } from "./statistics.ts";
import { temporaryDirectory } from "./temporary.ts";

/** The numbers of others. There can be at most 10,000 names. */
const NAMES = [100, 1000, 3000, 6000, 9000];
const CGROUPS = [100, 1000, 5000, 10_000, 20_000];
const ROUNDS = 5;
/** The percentage by which a figure may exceed the smallest one. */
const GOAL = 20;

const cellsOf = (texts: readonly string[]) => texts.map((text) => text.padStart(9)).join("");

/** Prints the microseconds of CPU time for each number of others. */
function printLevels(title: string, figures: readonly number[]): void {
  const growth = (Math.max(...figures) / Math.min(...figures) - 1) * 100;
  const cells = cellsOf(figures.map((figure) => figure.toFixed(1)));
  console.log(`${title.padEnd(36)}${cells}  ${growth.toFixed(0)} %`);
  noteAtMost(`${title}: growth`, growth, GOAL, { unit: " %" });
}

const cpuOf = (runs: readonly Measurement[]) =>
  median(runs.map(({ daemon_cpu_us_per_op }) => daemon_cpu_us_per_op));

async function measureNames(): Promise<void> {
  const program = compile("nsbench");
  const config =
    "[namespaces]\nmax_names = 10000\nmax_names_per_uid = 10000\nexpire_seconds = 3600\n";
  await using daemon = await startDaemon({ config });
  // Until its code is compiled, the daemon is slower.
  measure(program, daemon, { mode: "rt", count: 20_000 });
  for (let i = 0; i < 15; i++) {
    measure(program, daemon, { mode: "create-ipc", count: 200 });
    purge(daemon);
  }
  let names = 0;
  const create = (count: number) => {
    names += count;
    return measure(program, daemon, { mode: "create-ipc", count });
  };
  const requests: number[] = [];
  const created: number[] = [];
  for (const level of NAMES) {
    if (names < level) create(level - names);
    const rounds = Array.from({ length: ROUNDS });
    requests.push(cpuOf(rounds.map(() => measure(program, daemon, { mode: "rt", count: 5000 }))));
    created.push(cpuOf(rounds.map(() => create(100))));
  }
  printLevels("a request among up to 9,000 names", requests);
  printLevels("a new IPC name among up to 9,000", created);
}

async function measureCgroups(directory: string): Promise<void> {
  const handlerLog = join(directory, "handlers");
  writeFileSync(handlerLog, "");
  const script = join(directory, "accounting.lua");
  writeFileSync(script, "function cgroup_released(cgroup) print(cgroup.path) end");
  const scratch = new ScratchCgroup();
  try {
    const scope = scratch.make("bench.scope");
    const others = scratch.make("others.scope");
    await using daemon = await startReaper({
      directory,
      cgroupRoot: scratch.path,
      script,
      output: handlerLog,
    });
    const reaper = { program: compile("reapbench"), scope, pids: daemon.pids, handlerLog };
    for (let i = 0; i < 4; i++) reap(reaper, { mode: "burst", count: 1000 });
    let watched = 0;
    const figures: number[] = [];
    for (const level of CGROUPS) {
      for (; watched < level; watched++) mkdirSync(join(others, `other-${watched}`));
      // Wait until the daemon has found them.
      await delay(3000);
      const rounds = Array.from({ length: ROUNDS });
      const runs = rounds.map(() => reap(reaper, { mode: "burst", count: 500 }));
      figures.push(median(runs.map(({ daemon_cpu_us_per_cgroup: cpu }) => cpu)));
    }
    printLevels("a cgroup among up to 20,000", figures);
  } finally {
    await scratch.remove();
  }
}

function printHeader(title: string, levels: readonly number[]): void {
  console.log(title.padEnd(36) + cellsOf(levels.map(String)));
}

/** Prints whether work takes as long with many names and cgroups as with few. */
export async function measureFlatness(): Promise<void> {
  using directory = temporaryDirectory();
  console.log(`CPU time in us, when there are so many others; at most ${GOAL} % apart`);
  printHeader("names", NAMES);
  await measureNames();
  printHeader("cgroups", CGROUPS);
  await measureCgroups(directory.path);
}
