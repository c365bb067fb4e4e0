/**
 * Measures the namespace service compared with a floor: a server in C that does the least that
 * any server must do. Absolute figures depend on the machine and on everything else that it does;
 * only the ratios of one run can be compared. docs/performance.md explains how to read them.
 */
import { chmodSync, copyFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { noteAtLeast, noteAtMost } from "./goals.ts";
import {
  type ClientOptions,
  type Measurement,
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
  startDaemon,
  startFloor,
} from "./programs.ts";
import { median } from "./statistics.ts";
import { temporaryDirectory } from "./temporary.ts";

/** The number of measurements of each server, one after the other; the medians are printed. */
const ROUNDS = 5;

/**
 * The goals for CPU time and rate, as multiples of the floor's, or in microseconds and per
 * second.
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
  /** The work of the floor in the meantime; by default the same. */
  readonly floor?: Work;
}

/**
 * How long to wait until memory is freed, milliseconds. Each thread frees memory 5 to 10 seconds
 * after its last work; V8's helper threads end later.
 */
const FREEING_MS = 20_000;

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
  { title: "the same, with a pipe of the floor's", ...LEASE, client: { cpu: CPU } },
  { title: "connect, IPC+PID, close", ...ASK, client: { cpu: CPU } },
  {
    title: "IPC+PID again, 1 connection",
    mode: "rt",
    count: 5000,
    client: { cpu: CPU },
    goal: { rateTimes: 0.7 },
  },
  {
    title: "IPC+PID again, 16 connections",
    mode: "par",
    count: 10_000,
    client: {},
    goal: { rateTimes: 0.8 },
  },
];

const CREATED: readonly Subject[] = [
  {
    title: "200 new PID names",
    mode: "create-pid",
    count: 200,
    client: {},
    goal: { cpuUs: 280, rate: 2000 },
  },
  { title: "200 new IPC names", mode: "create-ipc", count: 200, client: {}, goal: { rate: 4500 } },
  {
    title: "200 new user namespaces",
    mode: "create-user",
    count: 200,
    client: {},
    goal: { rate: 2500 },
  },
  { title: "200 new IPC+PID names", mode: "create-both", count: 200, client: {} },
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
 * them.
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
 * Does the same for creating names. Before each measurement the earlier names are removed,
 * because a process with many descriptors takes longer to start another.
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
      runs[i]?.push(measure(program, daemon, work, client));
      purge(daemon);
    }
    if (work.mode !== "create-pid") continue;
    await using floor = await startFloor(true);
    floors.push(measure(program, floor, work, client));
  }
  return [...runs, ...(floors.length === 0 ? [] : [floors])].map(figuresOf);
}

/**
 * Makes V8 compile the daemon's code: the figures are to be those of a daemon that has run for a
 * while.
 */
function warmUp(program: string, daemon: RunningDaemon): void {
  measure(program, daemon, { ...LEASE, count: 4000 }, { asSpawner: true });
  measure(program, daemon, { mode: "rt", count: 5000 });
  // Each stage of V8's compilers comes after some hundred calls, the last after 2,000 names.
  for (let i = 0; i < 15; i++) {
    measure(program, daemon, { mode: "create-both", count: 200 });
    purge(daemon);
  }
}

const HEADER = ["", "/s", "p50 us", "CPU us", "without", "floor", "CPU x", "rate x"];

function printRow([title = "", ...cells]: readonly string[]): void {
  console.log(title.padEnd(40) + cells.map((cell) => cell.padStart(9)).join(""));
}

function describe({ title, goal }: Subject, figures: readonly Figures[]): void {
  const [ours, without, floor] = figures;
  if (ours === undefined || without === undefined) return;
  const cells = [ours.rate.toFixed(0), ours.p50.toFixed(0), ours.cpu.toFixed(1)];
  cells.push(without.cpu.toFixed(1));
  if (floor !== undefined) {
    cells.push(floor.cpu.toFixed(1), (ours.cpu / floor.cpu).toFixed(2));
    cells.push((ours.rate / floor.rate).toFixed(2));
  }
  printRow([title, ...cells]);
  if (goal !== undefined) noteGoal(title, goal, ours, floor);
}

function noteGoal(
  title: string,
  { cpuTimes, rateTimes, cpuUs, rate }: Goal,
  ours: Figures,
  floor: Figures | undefined,
): void {
  const floorCpu = floor === undefined ? {} : { floor: `${floor.cpu.toFixed(1)} us` };
  const floorRate = floor === undefined ? {} : { floor: `${floor.rate.toFixed(0)}/s` };
  if (cpuUs !== undefined)
    noteAtMost(`${title}: CPU`, ours.cpu, cpuUs, { unit: " us", ...floorCpu });
  if (rate !== undefined) noteAtLeast(title, ours.rate, rate, { unit: "/s", ...floorRate });
  if (floor === undefined) return;
  const times = { unit: " x", digits: 2 };
  if (cpuTimes !== undefined)
    noteAtMost(`${title}: CPU`, ours.cpu / floor.cpu, cpuTimes, { ...times, ...floorCpu });
  if (rateTimes !== undefined)
    noteAtLeast(title, ours.rate / floor.rate, rateTimes, { ...times, ...floorRate });
}

/** Prints the cost of requests to the namespace service, compared with the floor in C. */
export async function measureNamespaces(): Promise<void> {
  // Other users may run it, too.
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
  const idle = measureIdle(nsbench, daemon, 5);
  console.log(`idle: ${idle.wakeups} wake-ups in ${idle.elapsed_s.toFixed(1)} s`);
  noteAtMost("idle: wake-ups in 5 s", idle.wakeups, 0);
  const memory = measureMemory(nsbench, daemon, 200);
  const grown = (memory.daemon_after.pss_kb - memory.daemon_before.pss_kb) / memory.count;
  console.log(
    `memory (PSS): daemon ${memory.daemon_before.pss_kb} KiB; per PID namespace ` +
      `${memory.per_child_kb.pss.toFixed(1)} KiB in the init and ${grown.toFixed(1)} KiB in the daemon`,
  );
  const { private: ownKib } = memory.per_child_kb;
  noteAtMost("a PID name: private memory of its init", ownKib, 60, { unit: " KiB", digits: 1 });
}
