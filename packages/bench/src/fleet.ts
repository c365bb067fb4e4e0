/**
 * Measures many hosts that write their figures to one PostgreSQL server. The server and its clients
 * share this machine's CPUs.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { Postgres } from "@cm4all/testing/postgres";
import { readSql } from "@cm4all/testing/sql";
import { Client } from "pg";
import { machineSeconds, treeSeconds } from "./cpu.ts";
import {
  FLEET_CLIENT,
  type FleetHosts,
  type FleetOrder,
  type FleetResult,
} from "./fleet-client.ts";
import { noteAtLeast, noteAtMost } from "./goals.ts";
import { EXAMPLES } from "./programs.ts";
import { median, quantile } from "./statistics.ts";

interface Run extends Omit<FleetOrder, "batch"> {
  readonly title: string;
  readonly hosts: number;
  /** The number of processes among which the hosts are divided. */
  readonly processes: number;
  /** The value of synchronous_commit. */
  readonly commit: "on" | "off";
  /** The number of cgroups in a list; by default BATCH. */
  readonly batch?: number;
  readonly goal?: Goal;
}

interface Goal {
  readonly rowsPerSecond?: number;
  readonly p99Ms?: number;
  /** The CPU time for a row, in microseconds. */
  readonly serverUs?: number;
  readonly clientUs?: number;
}

/** The number of cgroups that a handler gets in one list. */
const BATCH = 100;

const RUNS: readonly Run[] = [
  {
    title: "200 hosts, each list synced",
    hosts: 200,
    processes: 2,
    rows: 200_000,
    commit: "on",
    goal: { rowsPerSecond: 20_000, serverUs: 25 },
  },
  { title: "200 hosts, synced later", hosts: 200, processes: 2, rows: 200_000, commit: "off" },
  {
    title: "200 hosts, 10,000 rows/s",
    hosts: 200,
    processes: 2,
    rows: 50_000,
    rowsPerSecond: 10_000,
    commit: "on",
    goal: { p99Ms: 1000 },
  },
  {
    title: "1 host, each list synced",
    hosts: 1,
    processes: 1,
    rows: 20_000,
    commit: "on",
    goal: { rowsPerSecond: 10_000, clientUs: 180 },
  },
  {
    title: "1 host, each row by itself",
    hosts: 1,
    processes: 1,
    rows: 5000,
    batch: 1,
    commit: "on",
    goal: { clientUs: 180 },
  },
];

/** The number of measurements, one after the other; the medians are printed. */
const ROUNDS = 5;

/** The role of the hosts, which fleet.sql creates. */
const ROLE = "cm4all-spawn-reaper";

/** The number of rows that all hosts together account before the measurements. */
const WARM_UP_ROWS = 20_000;

/** A process that stands in for some of the hosts, and runs until it is disposed of. */
class FleetProcess implements AsyncDisposable {
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess) {
    this.#process = process;
  }

  /** Starts a process. Resolves when each of its hosts has accounted a row. */
  static async start(hosts: FleetHosts, server: Postgres): Promise<FleetProcess> {
    const [, program = ""] = process.argv;
    const child = fork(program, [FLEET_CLIENT, JSON.stringify(hosts)], {
      env: {
        ...process.env,
        PGHOST: server.host,
        PGPORT: String(server.port),
        PGUSER: ROLE,
      },
    });
    const started = new FleetProcess(child);
    await started.#answer();
    return started;
  }

  async carryOut(order: FleetOrder): Promise<FleetResult> {
    this.#process.send(order);
    return (await this.#answer()) as FleetResult;
  }

  async #answer(): Promise<unknown> {
    const ended = new AbortController();
    try {
      return await Promise.race([
        once(this.#process, "message", { signal: ended.signal }).then(([message]) => message),
        once(this.#process, "exit", { signal: ended.signal }).then(([status]) => {
          throw new Error(`a process that simulates hosts ended with status ${status}`);
        }),
      ]);
    } finally {
      ended.abort();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, "exit");
    this.#process.disconnect();
    await ended;
  }
}

/** Starts a server with the tables of examples/accounting/fleet.sql. */
async function startServer(commit: "on" | "off"): Promise<Postgres> {
  const server = await Postgres.start({
    settings: {
      max_connections: "260",
      fsync: "on",
      full_page_writes: "on",
      synchronous_commit: commit,
    },
  });
  try {
    await query(server, "postgres", "CREATE DATABASE accounting");
    await query(server, "accounting", readSql(join(EXAMPLES, "fleet.sql")));
    return server;
  } catch (error) {
    await server.stop();
    throw error;
  }
}

async function query(
  { host, port, user }: Postgres,
  database: string,
  sql: string,
): Promise<Record<string, unknown>[]> {
  const client = new Client({ host, port, user, database });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

/** The figures of a measurement. */
interface Figures {
  /** Rows per second. */
  readonly rate: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** The CPU time for a row, in microseconds. */
  readonly serverUs: number;
  readonly clientUs: number;
  /** The shares of the time of all CPUs, in percent. */
  readonly idle: number;
  readonly disk: number;
}

async function measureRun(run: Run): Promise<void> {
  await using server = await startServer(run.commit);
  const count = run.hosts / run.processes;
  const processes = await Promise.all(
    Array.from({ length: run.processes }, (_, i) =>
      FleetProcess.start({ first: i * count, count }, server),
    ),
  );
  await using _ = {
    [Symbol.asyncDispose]: async () => {
      for (const one of processes) await one[Symbol.asyncDispose]();
    },
  };
  const { rows, batch = BATCH, rowsPerSecond } = run;
  const order = {
    batch,
    rows: rows / run.processes,
    rowsPerSecond: rowsPerSecond === undefined ? undefined : rowsPerSecond / run.processes,
  };
  // Warm up: neither the server's planning in each session nor V8's compilation is to be measured.
  const warmUp = { batch, rows: WARM_UP_ROWS / run.processes };
  await Promise.all(processes.map((one) => one.carryOut(warmUp)));

  const rounds: Figures[] = [];
  for (let round = 0; round < ROUNDS; round++)
    rounds.push(await measureOnce(server, processes, order, rows));
  await checkRows(server, run.hosts + WARM_UP_ROWS + ROUNDS * rows);
  describe(run, rounds);
}

async function measureOnce(
  server: Postgres,
  processes: readonly FleetProcess[],
  order: FleetOrder,
  rows: number,
): Promise<Figures> {
  const before = { machine: machineSeconds(), server: treeSeconds(server.pid) };
  const startMs = performance.now();
  const results = await Promise.all(processes.map((one) => one.carryOut(order)));
  const elapsed = (performance.now() - startMs) / 1000;
  const serverSeconds = treeSeconds(server.pid) - before.server;
  const machine = machineSeconds();
  const share = (key: "idle" | "disk") =>
    ((machine[key] - before.machine[key]) / (machine.all - before.machine.all)) * 100;
  const latenciesMs = results.flatMap((result) => result.latenciesMs);
  const clientSeconds = results.reduce((sum, result) => sum + result.cpuSeconds, 0);
  return {
    rate: rows / elapsed,
    p50Ms: median(latenciesMs),
    p99Ms: quantile(latenciesMs, 0.99),
    serverUs: (serverSeconds / rows) * 1e6,
    clientUs: (clientSeconds / rows) * 1e6,
    idle: share("idle"),
    disk: share("disk"),
  };
}

/** Prints the medians of the measurements. */
function describe(run: Run, rounds: readonly Figures[]): void {
  const middle = (key: keyof Figures) => median(rounds.map((figures) => figures[key]));
  const shown = (key: keyof Figures, digits = 1) => middle(key).toFixed(digits);
  console.log(
    `${run.title.padEnd(34)}${shown("rate", 0)} rows/s, ` +
      `p50 ${shown("p50Ms")} ms, p99 ${shown("p99Ms")} ms`,
  );
  console.log(
    `  CPU per row: clients ${shown("clientUs")} us, server ${shown("serverUs")} us; ` +
      `this machine: ${shown("idle", 0)}% idle, ${shown("disk", 0)}% waiting for the disk`,
  );
  noteGoal(run, middle);
}

function noteGoal({ title, goal = {} }: Run, middle: (key: keyof Figures) => number): void {
  const [rate, p99Ms] = [middle("rate"), middle("p99Ms")];
  const [serverUs, clientUs] = [middle("serverUs"), middle("clientUs")];
  if (goal.rowsPerSecond !== undefined)
    noteAtLeast(title, rate, goal.rowsPerSecond, { unit: "/s" });
  if (goal.p99Ms !== undefined) noteAtMost(`${title}: p99`, p99Ms, goal.p99Ms, { unit: " ms" });
  const us = { unit: " us" };
  if (goal.serverUs !== undefined)
    noteAtMost(`${title}: server's CPU per row`, serverUs, goal.serverUs, us);
  if (goal.clientUs !== undefined)
    noteAtMost(`${title}: clients' CPU per row`, clientUs, goal.clientUs, us);
}

/** Checks that no row is missing; otherwise the measurement would mean nothing. */
async function checkRows(server: Postgres, expected: number): Promise<void> {
  const [row] = await query(server, "accounting", "SELECT count(*)::int AS n FROM fleet_usage");
  if (row?.["n"] !== expected) throw new Error(`${row?.["n"]} rows instead of ${expected}`);
}

/** Prints how fast many hosts can write their figures to one database. */
export async function measureFleet(): Promise<void> {
  console.log(`Medians of ${ROUNDS} measurements, each of which accounts all rows of its line.`);
  for (const run of RUNS) await measureRun(run);
}
