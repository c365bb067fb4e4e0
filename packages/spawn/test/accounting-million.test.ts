/**
 * Starts the daemon with a million waiting records: it is ready within seconds, and needs little
 * more memory than without them.
 */
import { mkdirSync, readFileSync } from "node:fs";
import { DEFAULT_OPTIONS, DiskDirectory, Journal } from "@cm4all/journal";
import { bytesOfText } from "@cm4all/linux";
import { missing } from "@cm4all/testing";
import { afterEach, beforeEach, expect, it } from "vitest";
import { AccountingHost } from "./support/accounting.ts";
import { kill, until } from "./support/daemon.ts";

const COUNT = 1_000_000;
/**
 * If the daemon kept the records in memory, they would take some 500 MiB. Much less than that may
 * be garbage that V8 has not collected yet.
 */
const MAX_GROWTH_MIB = 150;
const TIMEOUT_MS = 300_000;

let host: AccountingHost;
beforeEach(() => {
  host = new AccountingHost();
});
afterEach(() => host.stop(), TIMEOUT_MS);

/**
 * Writes a journal such as an outage leaves. Its records are those of an earlier boot, so that none
 * of them waits for the deletion of a directory.
 */
async function fill(directory: string): Promise<void> {
  mkdirSync(directory, { recursive: true });
  const journal = await Journal.open(new DiskDirectory(directory), DEFAULT_OPTIONS);
  for (let start = 0; start < COUNT; start += 10_000) {
    const records = Array.from({ length: 10_000 }, (_, i) => {
      const number = start + i;
      const snapshot = {
        path: bytesOfText(`/a.slice/customer-${number % 1000}.slice/job-${number}.scope`),
        id: `11111111-2222-3333-4444-555555555555:${number}`,
        report: 1,
        measuredMs: 1_700_000_000_000 + number,
        cpuTotalUsec: number,
        memoryPeakBytes: 2 ** 20,
      };
      const account = [bytesOfText("user.account"), bytesOfText(`customer-${number % 1000}`)];
      return Buffer.from(JSON.stringify({ snapshot, xattrs: [[account]] }));
    });
    await Promise.all(records.map((record) => journal.append(record)));
  }
  await journal.close();
}

/** Starts the daemon, and returns how long that takes. */
async function startMs(): Promise<number> {
  const startedMs = performance.now();
  await host.start();
  return performance.now() - startedMs;
}

/** Returns the size of the private memory that a process has written, such as its heaps. */
function privateMiB(pid: number): number {
  const [, kib] = /^Private_Dirty:\s+(\d+) kB$/m.exec(
    readFileSync(`/proc/${pid}/smaps_rollup`, "latin1"),
  ) ?? ["", "0"];
  return Number(kib) / 1024;
}

/** Waits until the daemon's private memory stays the same, and returns its size. */
async function settledMiB(): Promise<number> {
  const { pid } = host.daemon;
  await host.untilReady();
  let last = privateMiB(pid);
  await until(
    async () => {
      await new Promise((resolve) => setTimeout(resolve, 3000));
      const now = privateMiB(pid);
      const isSettled = Math.abs(now - last) < 1;
      last = now;
      return isSettled;
    },
    "its memory is settled",
    TIMEOUT_MS / 3,
  );
  return last;
}

it.skipIf(missing("root", "catatonit", "cgroup2") !== undefined)(
  "a million waiting records cost the daemon little time and memory",
  async () => {
    host.writeHandler('error("no database")');
    const readyMsWithNone = await startMs();
    const withNone = await settledMiB();
    await host.crash();
    await fill(host.journal);
    const startedMs = performance.now();
    const readyMs = await startMs();
    await until(
      async () => (await host.accounting()).waitingCgroups === COUNT,
      "the journal is open",
      TIMEOUT_MS / 3,
    );
    const openMs = performance.now() - startedMs;
    const withMany = await settledMiB();
    console.log(
      `ready after ${readyMs.toFixed(0)} ms (${readyMsWithNone.toFixed(0)} with none), journal open after ${openMs.toFixed(0)} ms, ${withNone.toFixed(1)} MiB with none, ${withMany.toFixed(1)} MiB with a million`,
    );
    expect(withMany - withNone).toBeLessThan(MAX_GROWTH_MIB);
    expect(readyMs).toBeLessThan(5000);
    // The daemon still does its work.
    await host.scratch.runToEnd("a.scope/job");
    await host.untilDeleted("a.scope/job");
    expect((await host.accounting()).waitingCgroups).toBe(COUNT + 1);
    kill(host.daemon.pid, "SIGTERM");
  },
  TIMEOUT_MS,
);
