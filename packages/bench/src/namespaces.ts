/**
 * Measures the namespace service and compares it with a floor: a server in C that does the least
 * that any server must do. Absolute figures depend on the machine and on everything else that it
 * does, so only ratios of figures from the same run are meaningful. docs/performance.md explains
 * the figures.
 */
import { chmodSync, copyFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { noteAtLeast, noteAtMost } from "./goals.ts";
import {
  type ClientOptions,
  type Measurement,
  type MemoryMeasurement,
  measure,
  measureIdle,
  measureMemory,
  type Work,
} from "./nsbench.ts";
import {
  compile,
  pin,
  purge,
  type RunningDaemon,
  type RunningServer,
  settle,
  startDaemon,
  startFloor,
} from "./programs.ts";
import { median } from "./statistics.ts";
import { temporaryDirectory } from "./temporary.ts";

/** The number of measurements of each server, one after the other; the medians are printed. */
const ROUNDS = 5;

/**
 * The goals for the CPU time and the rate: as multiples of the floor's, or absolute, in
 * microseconds and in operations per second.
 */
interface Goal {
  readonly cpuTimes?: number;
  readonly rateTimes?: number;
  readonly cpuUs?: number;
  readonly rate?: number;
}

interface Subject extends Work {
  readonly title: string;
  readonly client: ClientOptions;
  readonly goal?: Goal;
  /** The work with which the floor is measured, if it is different. */
  readonly floor?: Work;
}

/**
 * How long to wait for memory to be freed, in milliseconds. Each thread frees memory 5.5 to 11
 * seconds after its last work, and again 5.5 seconds later.
 */
const FREEING_MS = 20_000;

const IDLE_SECONDS = 5;

const CPU = 0;
const ASK: Work = { mode: "conn", ns: "ipc,pid", count: 2000 };
const LEASE: Work = { mode: "conn", ns: "pid,lease", count: 2000 };

const SUBJECTS: readonly Subject[] = [
  {
    title: "connect, PID+lease, close, as a spawner",
    ...LEASE,
    client: { asSpawner: true, cpu: CPU },
    floor: ASK,
    goal: { cpuTimes: 3 },
  },
  {
    title: "connect, PID+lease, close, as root",
    ...LEASE,
    client: { cpu: CPU },
    floor: ASK,
    goal: { cpuTimes: 2.5 },
  },
  { title: "the same; the floor gives a lease too", ...LEASE, client: { cpu: CPU } },
  { title: "connect, IPC+PID, close", ...ASK, client: { cpu: CPU } },
  {
    title: "existing names, IPC+PID, 1 connection",
    mode: "rt",
    count: 5000,
    client: { cpu: CPU },
    goal: { rateTimes: 0.7 },
  },
  {
    title: "existing names, IPC+PID, 16 connections",
    mode: "par",
    count: 10_000,
    client: {},
    goal: { rateTimes: 0.8 },
  },
];

const CREATED: readonly Subject[] = [
  {
    title: "200 new PID namespaces",
    mode: "create-pid",
    count: 200,
    client: {},
    goal: { cpuUs: 280, rate: 2000 },
  },
  {
    title: "200 new IPC namespaces",
    mode: "create-ipc",
    count: 200,
    client: {},
    goal: { rate: 4500 },
  },
  {
    title: "200 new user namespaces",
    mode: "create-user",
    count: 200,
    client: {},
    goal: { rate: 2500 },
  },
  { title: "200 new names, IPC+PID", mode: "create-both", count: 200, client: {} },
];

/** The medians of some measurements. */
interface Figures {
  readonly rate: number;
  readonly p50: number;
  readonly cpu: number;
}

function figuresOf(runs: readonly Measurement[]): Figures {
  return {
    rate: median(runs.map(({ rate }) => rate)),
    p50: median(runs.map(({ lat_us }) => lat_us.p50)),
    cpu: median(runs.map(({ daemon_cpu_us_per_op }) => daemon_cpu_us_per_op)),
  };
}

/**
 * Measures each server in turn, so that everything else that the machine does affects all of
 * them alike. The floor is the last of the servers.
 */
function compare(
  program: string,
  servers: readonly RunningServer[],
  { client, floor, ...work }: Subject,
): Figures[] {
  const runs = servers.map((): Measurement[] => []);
  for (const server of servers) pin(server, client.cpu);
  for (let round = 0; round < ROUNDS; round++)
    for (const [i, server] of servers.entries()) {
      const isFloor = i === servers.length - 1;
      const done = isFloor && floor !== undefined ? floor : work;
      runs[i]?.push(measure(program, server, done, client));
    }
  return runs.map(figuresOf);
}

/**
 * Does the same as `compare`, for work that creates names. Each measurement begins without names,
 * because a process with many descriptors takes longer to start another process: the daemons' names
 * are purged, and the floor, which cannot remove names, is started anew.
 */
async function compareCreation(
  program: string,
  daemons: readonly RunningDaemon[],
  { client, ...work }: Subject,
): Promise<Figures[]> {
  const runs = daemons.map((): Measurement[] => []);
  const floors: Measurement[] = [];
  for (const daemon of daemons) pin(daemon, client.cpu);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, daemon] of daemons.entries()) {
      await settle();
      runs[i]?.push(measure(program, daemon, work, client));
      purge(daemon);
    }
    await using floor = await startFloor(true);
    await settle();
    floors.push(measure(program, floor, work, client));
  }
  return [...runs, floors].map(figuresOf);
}

/**
 * Makes V8 compile the daemon's code, so that the figures are those of a daemon that has run for a
 * while.
 */
function warmUp(program: string, daemon: RunningDaemon): void {
  measure(program, daemon, { ...LEASE, count: 4000 }, { asSpawner: true });
  measure(program, daemon, { mode: "rt", count: 5000 });
  // V8 has several compilers, each of which waits for more calls than the one before it; after
  // 2,000 names the last one has run.
  for (let i = 0; i < 15; i++) {
    measure(program, daemon, { mode: "create-both", count: 200 });
    purge(daemon);
  }
}

const HEADER = ["", "/s", "p50 us", "CPU us", "no addon", "floor", "CPU x", "rate x"];

function printRow([title = "", ...cells]: readonly string[]): void {
  console.log(title.padEnd(40) + cells.map((cell) => cell.padStart(9)).join(""));
}

function describe({ title, goal }: Subject, figures: readonly Figures[]): void {
  const [ours, without, floor] = figures;
  if (ours === undefined || without === undefined || floor === undefined) return;
  const cells = [ours.rate.toFixed(0), ours.p50.toFixed(0), ours.cpu.toFixed(1)];
  cells.push(without.cpu.toFixed(1), floor.cpu.toFixed(1), (ours.cpu / floor.cpu).toFixed(2));
  cells.push((ours.rate / floor.rate).toFixed(2));
  printRow([title, ...cells]);
  if (goal !== undefined) noteGoal(title, goal, { ours, without, floor });
}

function noteGoal(
  title: string,
  { cpuTimes, rateTimes, cpuUs, rate }: Goal,
  { ours, without, floor }: Readonly<Record<"ours" | "without" | "floor", Figures>>,
): void {
  const cpu = { without: without.cpu, floor: `${floor.cpu.toFixed(1)} us` };
  const rates = { without: without.rate, floor: `${floor.rate.toFixed(0)}/s` };
  if (cpuUs !== undefined) noteAtMost(`${title}: CPU`, ours.cpu, cpuUs, { ...cpu, unit: " us" });
  if (rate !== undefined) noteAtLeast(title, ours.rate, rate, { ...rates, unit: "/s" });
  const times = { unit: " x", digits: 2 };
  if (cpuTimes !== undefined)
    noteAtMost(`${title}: CPU`, ours.cpu / floor.cpu, cpuTimes, {
      ...times,
      without: without.cpu / floor.cpu,
      floor: cpu.floor,
    });
  if (rateTimes !== undefined)
    noteAtLeast(title, ours.rate / floor.rate, rateTimes, {
      ...times,
      without: without.rate / floor.rate,
      floor: rates.floor,
    });
}

/** Prints the cost of requests to the namespace service, compared with the floor in C. */
export async function measureNamespaces(): Promise<void> {
  // A copy of nsbench that every user can run: subjects with `asSpawner` run it as another user.
  using directory = temporaryDirectory();
  const nsbench = join(directory.path, "nsbench");
  copyFileSync(compile("nsbench"), nsbench);
  chmodSync(nsbench, 0o755);
  await using daemon = await startDaemon();
  await using without = await startDaemon({ withoutAddon: true });
  await using floor = await startFloor();

  for (const server of [daemon, without]) warmUp(nsbench, server);
  console.log(`Medians of ${ROUNDS} runs; CPU time is the server's, for one operation.`);
  printRow(HEADER);
  for (const subject of SUBJECTS)
    describe(subject, compare(nsbench, [daemon, without, floor], subject));
  for (const subject of CREATED)
    describe(subject, await compareCreation(nsbench, [daemon, without], subject));
  await delay(FREEING_MS);
  measureAtRest(nsbench, daemon);
}

/** Prints the wake-ups of a daemon at rest, and the memory that it and its namespaces take. */
function measureAtRest(nsbench: string, daemon: RunningDaemon): void {
  const idle = Array.from({ length: ROUNDS }, () => measureIdle(nsbench, daemon, IDLE_SECONDS));
  const wakeups = idle.map((one) => one.wakeups);
  console.log(`idle: wake-ups in ${IDLE_SECONDS} s, ${ROUNDS} times: ${wakeups.join(", ")}`);
  noteAtMost(`idle: wake-ups in ${IDLE_SECONDS} s`, median(wakeups), 0);
  const memory = Array.from({ length: ROUNDS }, () => measureMemory(nsbench, daemon, 200));
  const middle = (of: (one: MemoryMeasurement) => number) => median(memory.map(of));
  const grownKib = middle(
    (one) => (one.daemon_after.pss_kb - one.daemon_before.pss_kb) / one.count,
  );
  const initKib = middle((one) => one.per_child_kb.pss);
  console.log(
    `memory (PSS): daemon ${median(idle.map((one) => one.daemon.pss_kb))} KiB; per PID namespace ` +
      `${initKib.toFixed(1)} KiB in the init and ${grownKib.toFixed(1)} KiB in the daemon`,
  );
  const ownKib = middle((one) => one.per_child_kb.private);
  noteAtMost("a PID namespace: private memory of its init", ownKib, 60, {
    unit: " KiB",
    digits: 1,
  });
}
