/**
 * Fills the disk of the database: first the server cannot extend its data files; then it cannot
 * write its write-ahead log either, and crashes.
 */
import { mkdirSync, mkdtempSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  CLONE_NEWNS,
  isErrno,
  MNT_DETACH,
  MS_PRIVATE,
  MS_REC,
  mount,
  umount,
  unshare,
} from "@cm4all/linux";
import { missing, Postgres } from "@cm4all/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { AccountingHost } from "./support/accounting.ts";
import { until } from "./support/daemon.ts";
import { RunsProgram } from "./support/runs.ts";
import { countJobs, makeUsageTable, queryColumn, usageScript } from "./support/usage-table.ts";

const needs = missing("root", "catatonit", "cgroup2", "postgres", "gcc");

/** The number of cgroups; with `TORTURE=all`, they take half a minute at 400 a second. */
const COUNT = process.env["TORTURE"] === "all" ? 12_000 : 1200;

/** The size of the disk: room for a new database cluster, and for some growth. */
const DISK_MIB = 160;

describe.skipIf(needs !== undefined)("the database's disk", () => {
  let disk: string;
  let server: Postgres;
  let host: AccountingHost;

  beforeAll(async () => {
    // Only this thread and the processes that it starts are in the new mount namespace.
    unshare(CLONE_NEWNS);
    mount({ target: "/", flags: MS_REC | MS_PRIVATE });
    disk = mkdtempSync(join(tmpdir(), "cm4all-spawn-disk-"));
    mount({ source: "none", target: disk, type: "tmpfs", data: `size=${DISK_MIB}m,mode=755` });
    mkdirSync(join(disk, "server"));
    server = await Postgres.start({
      directory: join(disk, "server"),
      settings: { fsync: "off", max_wal_size: "32MB" },
    });
  });
  afterAll(async () => {
    await server.stop();
    umount(disk, MNT_DETACH);
    rmdirSync(disk);
  });
  beforeEach(() => {
    host = new AccountingHost();
  });
  afterEach(() => host.stop());

  const filling = () => join(disk, "fill");

  /** Uses all free space, down to the last page. */
  function fillDisk(): void {
    for (const size of [1 << 20, 4096])
      try {
        for (;;) writeFileSync(filling(), Buffer.alloc(size), { flag: "a" });
      } catch (error) {
        if (!isErrno(error, "ENOSPC")) throw error;
      }
  }

  /** Writes to the write-ahead log until the disk is full, and the server ends all sessions. */
  async function fillLog(): Promise<void> {
    const sql = "SELECT pg_logical_emit_message(false, 'x', repeat('x', 1000000))";
    await until(
      () =>
        queryColumn(server, sql).then(
          () => false,
          () => true,
        ),
      "its log is full",
    );
  }

  it("may be full: none of 400 cgroups a second is lost", {
    timeout: 120_000 + COUNT * 40,
  }, async () => {
    using program = new RunsProgram();
    await makeUsageTable(server);
    host.writeScript(usageScript(server));
    await host.start("handler_seconds = 3\n");
    await host.untilReady();
    const base = `${host.scratch.path}/a.scope`;
    const runs = program.start({ mode: "leave", base, prefix: "c", count: COUNT, rate: 400 });

    await until(async () => (await countJobs(server)) > 0, "some are in the table");
    fillDisk();
    await until(
      () => /could not extend file.*No space left/.test(host.daemon.log),
      "the server cannot write data files",
    );
    expect((await host.accounting()).lostCgroups).toBe(0);
    rmSync(filling());
    const before = await countJobs(server);
    await until(async () => (await countJobs(server)) > before, "more are in the table");

    fillDisk();
    await fillLog();
    await sleep(1000);
    await server.pause("immediate");
    const { waitingCgroups } = await host.accounting();
    rmSync(filling());
    await server.resume();
    await runs.end();
    await until(async () => (await host.accounting()).waitingCgroups === 0, "none waits", 120_000);
    console.log(`${COUNT} cgroups, of which ${waitingCgroups} waited for the server`);
    expect(await countJobs(server)).toBe(COUNT);
    expect(await host.accounting()).toMatchObject({ lostCgroups: 0, parkedCgroups: 0 });
    expect((await host.reaping()).reaper).toMatchObject({ missedChanges: 0 });
  });
});
