/**
 * Measures the cost of a request, a new name and a cgroup among few and many other names or
 * cgroups. The cost is also given as a multiple of the floor's. The daemon and the floor are
 * measured in turn, because the speed of a machine may change by more than a fifth within minutes.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ScratchCgroup } from "@cm4all/testing/cgroup";
import { noteAtMost } from "./goals.ts";
import { type Measurement, measure } from "./nsbench.ts";
import {
  compile,
  pin,
  purge,
  type RunningReaper,
  type RunningServer,
  startDaemon,
  startFloor,
  startReaper,
  startReaperFloor,
} from "./programs.ts";
import { type Reaper, reap } from "./reapbench.ts";
import { median } from "./statistics.ts";
import { temporaryDirectory } from "./temporary.ts";

/** The numbers of names that exist already. No configuration allows more than 10,000 names. */
const NAMES = [100, 1000, 3000, 6000, 9000];
/**
 * The numbers of PID namespaces that exist already. There are fewer numbers than in NAMES, because
 * PID namespaces, each of which has an init, take longer to create.
 */
const PID_NAMES = [100, 1500, 9000];
const CGROUPS = [100, 1000, 5000, 10_000, 20_000];
const ROUNDS = 7;
/**
 * The CPU on which clients and servers run: on two CPUs, the times would depend on which processes
 * happen to share a CPU.
 */
const CPU = 1;
/** The percentage by which the largest multiple of the floor's time may exceed the smallest. */
const GOAL = 20;

const cellsOf = (texts: readonly string[]) => texts.map((text) => text.padStart(9)).join("");

/** The CPU time of a piece of work among a given number of names or cgroups, in microseconds. */
interface Level {
  readonly ours: number;
  readonly floor: number;
}

const cpuOf = ({ daemon_cpu_us_per_op }: Measurement) => daemon_cpu_us_per_op;

/** Measures the daemon and the floor in turn, and returns the medians. */
function compare(measureOurs: () => number, measureFloor: () => number): Level {
  const ours: number[] = [];
  const floor: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    ours.push(measureOurs());
    floor.push(measureFloor());
  }
  return { ours: median(ours), floor: median(floor) };
}

/** Measures the daemon, and a floor that has no names yet, in turn. */
async function compareWithNewFloor(
  program: string,
  mode: "create-ipc" | "create-pid",
  measureOurs: () => number,
): Promise<Level> {
  await using floor = await startFloor(true);
  pin(floor, CPU);
  return compare(measureOurs, () =>
    cpuOf(measure(program, floor, { mode, count: 100 }, { cpu: CPU })),
  );
}

/**
 * Prints the daemon's CPU time at each level, its ratio to the floor's, and by how much the largest
 * ratio exceeds the smallest.
 */
function printLevels(title: string, levels: readonly Level[]): void {
  const times = levels.map(({ ours, floor }) => ours / floor);
  const growth = (Math.max(...times) / Math.min(...times) - 1) * 100;
  const row = (name: string, cells: readonly string[]) => name.padEnd(36) + cellsOf(cells);
  console.log(
    row(
      title,
      levels.map(({ ours }) => ours.toFixed(1)),
    ),
  );
  const growing = row(
    "  times the floor's",
    times.map((one) => one.toFixed(2)),
  );
  console.log(`${growing}  ${growth.toFixed(0)} %`);
  noteAtMost(`${title}: growth`, growth, GOAL, { unit: " %" });
}

const MANY_NAMES =
  "[namespaces]\nmax_names = 10000\nmax_names_per_uid = 10000\nexpire_seconds = 3600\n";

/**
 * Measures new PID namespaces, in a daemon without the names of other measurements: whenever a
 * daemon starts an init, the kernel copies the daemon's table of descriptors, which has the
 * descriptors of all names.
 */
async function measurePidNames(): Promise<void> {
  const program = compile("nsbench");
  await using daemon = await startDaemon({ config: MANY_NAMES });
  for (let i = 0; i < 15; i++) {
    measure(program, daemon, { mode: "create-pid", count: 200 });
    purge(daemon);
  }
  pin(daemon, CPU);
  let names = 0;
  const create = (count: number) => {
    names += count;
    return measure(program, daemon, { mode: "create-pid", count }, { cpu: CPU });
  };
  const created: Level[] = [];
  for (const level of PID_NAMES) {
    if (names < level) create(level - names);
    created.push(await compareWithNewFloor(program, "create-pid", () => cpuOf(create(100))));
  }
  printLevels("a new PID namespace among up to 9,000", created);
}

async function measureNames(): Promise<void> {
  const program = compile("nsbench");
  await using daemon = await startDaemon({ config: MANY_NAMES });
  // The daemon is slower until V8 has compiled its code.
  measure(program, daemon, { mode: "rt", count: 20_000 });
  for (let i = 0; i < 15; i++) {
    measure(program, daemon, { mode: "create-ipc", count: 200 });
    purge(daemon);
  }
  await using simple = await startFloor();
  let names = 0;
  const create = (count: number) => {
    names += count;
    return measure(program, daemon, { mode: "create-ipc", count }, { cpu: CPU });
  };
  pin(daemon, CPU);
  pin(simple, CPU);
  const ask = (server: RunningServer) =>
    cpuOf(measure(program, server, { mode: "rt", count: 10_000 }, { cpu: CPU }));
  const requests: Level[] = [];
  const created: Level[] = [];
  for (const level of NAMES) {
    if (names < level) create(level - names);
    requests.push(
      compare(
        () => ask(daemon),
        () => ask(simple),
      ),
    );
    created.push(await compareWithNewFloor(program, "create-ipc", () => cpuOf(create(100))));
  }
  printLevels("a request among up to 9,000 names", requests);
  printLevels("a new IPC namespace among up to 9,000", created);
}

async function measureCgroups(directory: string): Promise<void> {
  const handlerLog = join(directory, "handlers");
  writeFileSync(handlerLog, "");
  const script = join(directory, "accounting.lua");
  writeFileSync(script, "function cgroup_released(cgroup) print(cgroup.path) end");
  const scratch = new ScratchCgroup();
  try {
    const scope = scratch.make("ours/bench.scope");
    const others = scratch.make("ours/others.scope");
    const floorScope = scratch.make("floor/bench.scope");
    const cgroupRoot = dirname(scope);
    await using daemon = await startReaper({ directory, cgroupRoot, script, output: handlerLog });
    await using floor = await startReaperFloor(floorScope, handlerLog);
    const program = compile("reapbench");
    const reaperOf = (scope: string, { pids }: RunningReaper): Reaper => ({
      program,
      scope,
      pids,
      handlerLog,
    });
    const burst = (reaper: Reaper) =>
      reap(reaper, { mode: "burst", count: 500 }).daemon_cpu_us_per_cgroup;
    const ours = reaperOf(scope, daemon);
    // The daemon is slower until V8 has compiled its code.
    for (let i = 0; i < 12; i++) reap(ours, { mode: "burst", count: 1000 });
    let watched = 0;
    const levels: Level[] = [];
    for (const level of CGROUPS) {
      for (; watched < level; watched++) mkdirSync(join(others, `other-${watched}`));
      // Wait until the daemon has found the new cgroups.
      await delay(3000);
      levels.push(
        compare(
          () => burst(ours),
          () => burst(reaperOf(floorScope, floor)),
        ),
      );
    }
    printLevels("a cgroup among up to 20,000", levels);
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
  console.log(
    `CPU time in us, by the number of names or cgroups that exist; goal: the ratios to the floor's ` +
      `CPU time are at most ${GOAL} % apart`,
  );
  printHeader("names", NAMES);
  await measureNames();
  printHeader("names", PID_NAMES);
  await measurePidNames();
  printHeader("cgroups", CGROUPS);
  await measureCgroups(directory.path);
}
