/**
 * A process that stands in for some of the hosts of the subject `fleet`. It loads
 * examples/accounting/fleet.lua once for each host, receives orders over IPC, and ends with its
 * parent.
 */
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { CgroupRecord } from "@cm4all/cgroup";
import { bytesOfText, textOf } from "@cm4all/linux";
import { openLibraries, Runtime } from "@cm4all/lua/embedded";
import { EXAMPLES } from "./programs.ts";

/** The program's first argument, if it is to run as such a process. */
export const FLEET_CLIENT = "fleet-client";

/** The hosts of a process. As JSON, they are the program's second argument. */
export interface FleetHosts {
  readonly first: number;
  readonly count: number;
}

/**
 * An order to account cgroups at a rate or, if no rate is given, as fast as possible. Each cgroup
 * becomes a row.
 */
export interface FleetOrder {
  readonly rows: number;
  /** The number of cgroups in the list that a handler gets. */
  readonly batch: number;
  readonly rowsPerSecond?: number | undefined;
}

export interface FleetResult {
  /** For each list, the time from the moment at which it was due until it was in the database. */
  readonly latenciesMs: readonly number[];
  readonly cpuSeconds: number;
}

const CUSTOMERS = 50;
/** The number of handlers that each host runs at the same time if no rate is given. */
const HANDLERS = 4;

/** Not used: the handlers of fleet.lua may be repeated, so their runs need not ask to begin. */
const BEGIN = { ask: () => Promise.resolve(), askSync: () => {} };

/** A host: the script, and the calls of its handler. */
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

  /** Accounts a number of new cgroups. */
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

/** Keeps HANDLERS handlers of each host busy until all rows are accounted. */
async function accountAll(hosts: readonly Host[], rows: number, batch: number): Promise<number[]> {
  const latenciesMs: number[] = [];
  let left = rows;
  const work = async (host: Host) => {
    while (left > 0) {
      const count = Math.min(left, batch);
      left -= count;
      const startMs = performance.now();
      await host.account(count);
      latenciesMs.push(performance.now() - startMs);
    }
  };
  await Promise.all(hosts.flatMap((host) => Array.from({ length: HANDLERS }, () => work(host))));
  return latenciesMs;
}

/** Accounts lists at regular intervals, on the hosts in turn, however long earlier lists take. */
async function accountAtRate(
  hosts: readonly Host[],
  { rows, batch }: FleetOrder,
  rowsPerSecond: number,
): Promise<number[]> {
  const intervalMs = (batch / rowsPerSecond) * 1000;
  const beginMs = performance.now();
  const lists = Array.from({ length: Math.ceil(rows / batch) }, async (_, i) => {
    const dueMs = beginMs + i * intervalMs;
    await delay(dueMs - performance.now());
    await hosts[i % hosts.length]?.account(batch);
    return performance.now() - dueMs;
  });
  return await Promise.all(lists);
}

async function carryOut(hosts: readonly Host[], order: FleetOrder): Promise<FleetResult> {
  const { rows, batch, rowsPerSecond } = order;
  const before = process.cpuUsage();
  const latenciesMs =
    rowsPerSecond === undefined
      ? await accountAll(hosts, rows, batch)
      : await accountAtRate(hosts, order, rowsPerSecond);
  const { user, system } = process.cpuUsage(before);
  return { latenciesMs, cpuSeconds: (user + system) / 1e6 };
}

/** Opens a database session for each host, reports to the parent, and carries out its orders. */
export async function runFleetClient({ first, count }: FleetHosts): Promise<void> {
  const hosts = Array.from({ length: count }, (_, i) => new Host(`host-${first + i}`));
  await Promise.all(hosts.map((host) => host.account(1)));
  process.on("message", (order: FleetOrder) => {
    carryOut(hosts, order).then(
      (result) => process.send?.(result),
      (error) => {
        console.error(error);
        process.exit(1);
      },
    );
  });
  process.send?.("ready");
  await new Promise((resolve) => process.once("disconnect", resolve));
}
