/**
 * Many hosts account into one PostgreSQL server: examples/accounting/fleet.lua, run as on a
 * host, once for each host in this process. Server and clients share this machine's CPUs.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { CgroupRecord } from "@cm4all/cgroup";
import { bytesOfText, textOf } from "@cm4all/linux";
import { openLibraries, Runtime } from "@cm4all/lua/embedded";
import { Postgres } from "@cm4all/testing/postgres";
import { Client } from "pg";
import { machineSeconds, treeSeconds } from "./cpu.ts";
import { root } from "./programs.ts";
import { median, quantile } from "./statistics.ts";

const EXAMPLES = join(root, "../../examples/accounting");
const CUSTOMERS = 50;
/** Handlers of one host that wait for the database. */
const HANDLERS = 4;
/** Cgroups in a list, if the script takes lists. */
const BATCH = 100;

const RUNS = [
  { title: "200 hosts, each row on the disk", hosts: 200, rows: 20_000, commit: "on" },
  { title: "200 hosts, the disk later", hosts: 200, rows: 20_000, commit: "off" },
  { title: "1 host, each row on the disk", hosts: 1, rows: 5_000, commit: "on" },
] as const;

type Run = (typeof RUNS)[number];

/** Nobody has to know that a run begins: the script bears repetition. */
const BEGIN = { ask: () => Promise.resolve(), askSync: () => {} };

/** One host: the script, and how its handler is called. */
class Host implements Disposable {
  readonly #runtime: Runtime;
  readonly #name: string;
  #count = 0;

  constructor(name: string) {
    this.#name = name;
    this.#runtime = new Runtime({
      instructions: 50_000_000,
      handlerTimeoutMs: 60_000,
      onError: (source, { message }) =>
        console.error(`${name}: ${textOf(source)}: ${textOf(message)}`),
      open: openLibraries,
    });
    process.env["ACCOUNTING_HOST"] = name;
    this.#runtime.load(join(EXAMPLES, "fleet.lua"));
  }

  /** How many cgroups its script takes at once. */
  get batch(): number {
    return this.#runtime.handlers.released === "list" ? BATCH : 1;
  }

  /** Accounts some more cgroups. */
  account(count: number): Promise<void> {
    const records = Array.from({ length: count }, () => this.#nextRecord());
    return new Promise((resolve, reject) => {
      this.#runtime.run("released", records, BEGIN, (failure) =>
        failure === undefined ? resolve() : reject(new Error(textOf(failure.message))),
      );
    });
  }

  #nextRecord(): CgroupRecord {
    const number = ++this.#count;
    const customer = number % CUSTOMERS;
    const account = [bytesOfText("user.account"), bytesOfText(`customer-${customer}`)] as const;
    const snapshot = {
      path: bytesOfText(`/cgroup-${customer}`),
      id: `${this.#name}-boot:${number}`,
      report: 1,
      measuredMs: Date.now(),
      birthMs: Date.now() - 1000,
      cpuTotalUsec: 1_234_567,
      memoryPeakBytes: 52_428_800,
      pidsPeak: 5,
    };
    return { snapshot, xattrs: [[account]] };
  }

  [Symbol.dispose](): void {
    this.#runtime.close();
  }
}

/** Starts a server with the tables of the example. */
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
    await query(server, "accounting", readFileSync(join(EXAMPLES, "fleet.sql"), "utf8"));
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

/** Each host has some handlers at work at any time, until all rows are there. */
async function accountRows(hosts: readonly Host[], rows: number): Promise<number[]> {
  const latenciesMs: number[] = [];
  let left = rows;
  const work = async (host: Host) => {
    while (left > 0) {
      const count = Math.min(left, host.batch);
      left -= count;
      const startMs = performance.now();
      await host.account(count);
      latenciesMs.push(performance.now() - startMs);
    }
  };
  await Promise.all(hosts.flatMap((host) => Array.from({ length: HANDLERS }, () => work(host))));
  return latenciesMs;
}

async function measureRun(run: Run): Promise<void> {
  await using server = await startServer(run.commit);
  Object.assign(process.env, { PGHOST: server.host, PGPORT: String(server.port) });
  using hosts = disposeAll(Array.from({ length: run.hosts }, (_, i) => new Host(`host-${i}`)));
  // Opens the sessions, and has the server plan the statement in each.
  await Promise.all(hosts.all.map((host) => host.account(1)));

  const before = { machine: machineSeconds(), server: treeSeconds(server.pid) };
  const client = process.cpuUsage();
  const startMs = performance.now();
  const latenciesMs = await accountRows(hosts.all, run.rows);
  const elapsed = (performance.now() - startMs) / 1000;
  const { user, system } = process.cpuUsage(client);
  const serverSeconds = treeSeconds(server.pid) - before.server;
  const machine = machineSeconds();
  const share = (key: "idle" | "disk") =>
    ((machine[key] - before.machine[key]) / (machine.all - before.machine.all)) * 100;

  const perRow = (seconds: number) => `${Math.round((seconds / run.rows) * 1e6)} us`;
  console.log(
    `${run.title.padEnd(32)}${Math.round(run.rows / elapsed)} rows/s, ` +
      `p50 ${median(latenciesMs).toFixed(1)} ms, p99 ${quantile(latenciesMs, 0.99).toFixed(1)} ms`,
  );
  console.log(
    `  CPU a row: clients ${perRow((user + system) / 1e6)}, server ${perRow(serverSeconds)}; ` +
      `this machine: ${share("idle").toFixed(0)}% idle, ${share("disk").toFixed(0)}% waiting for the disk`,
  );
  await checkRows(server, run.rows + run.hosts);
}

/** A measurement of rows that are not there would be none. */
async function checkRows(server: Postgres, expected: number): Promise<void> {
  const [row] = await query(server, "accounting", "SELECT count(*)::int AS n FROM fleet_usage");
  if (row?.["n"] !== expected) throw new Error(`${row?.["n"]} rows instead of ${expected}`);
}

function disposeAll<T extends Disposable>(all: readonly T[]): Disposable & { all: readonly T[] } {
  return {
    all,
    [Symbol.dispose]: () => {
      for (const one of all) one[Symbol.dispose]();
    },
  };
}

export async function measureFleet(): Promise<void> {
  for (const run of RUNS) await measureRun(run);
}
