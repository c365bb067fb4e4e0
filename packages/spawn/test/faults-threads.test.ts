/**
 * Injects errors into system calls of the reaper's thread and of the main thread, except the calls
 * without which no event loop of Node runs. libuv aborts if epoll_ctl(2) fails in the main thread:
 * this case has a test of its own. libuv would also abort if an eventfd could not be read or
 * written, but the kernel returns no such error.
 */
import { once } from "node:events";
import { readdirSync, rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { missing, readProc } from "@cm4all/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ControlRequest } from "../src/control/commands.ts";
import { AccountingHost } from "./support/accounting.ts";
import { until } from "./support/daemon.ts";
import { whileFailing } from "./support/faults.ts";

const cannotRun = missing("root", "catatonit", "cgroup2", "strace") !== undefined;

/** Faults of the reaper's thread: all calls of the named kind fail. */
const REAPER_FAULTS = [
  "openat:error=ENOMEM",
  "statx:error=ENOMEM",
  "unlinkat:error=ENOMEM",
  "flistxattr:error=ENOMEM",
  "inotify_add_watch:error=ENOMEM",
  "inotify_rm_watch:error=ENOMEM",
];

/**
 * Faults of the main thread. They do not include read(2) and write(2): strace cannot tell calls for
 * sockets from calls for eventfds.
 */
const MAIN_FAULTS = [
  "accept4:error=ENOMEM",
  "accept4:error=ENOBUFS",
  "openat,open:error=ENOMEM",
  "statx,stat,newfstatat:error=ENOMEM",
];

describe.skipIf(cannotRun)("the daemon", { timeout: 60_000 }, () => {
  let host: AccountingHost;
  beforeEach(async () => {
    host = new AccountingHost();
    host.reaperConfig = "check_seconds = 1";
    host.writeHandler("say(cgroup.path)", "handlers_bear_repetition = true");
    await host.start();
    await host.untilReady();
    await host.scratch.runToEnd("a.scope/first");
    await host.untilDeleted("a.scope/first");
  });
  afterEach(() => host.stop());

  function threadOf(name: string): string {
    const { pid } = host.daemon;
    const tid = readdirSync(`/proc/${pid}/task`).find(
      (each) => readProc(Number(each), "comm").trim() === name,
    );
    if (tid === undefined) throw new Error(`there is no thread ${name}`);
    return tid;
  }

  function askNames(): void {
    using client = host.daemon.connect();
    client.inodes("name", { ipc: true });
  }

  async function expectWork(): Promise<void> {
    await host.scratch.runToEnd("a.scope/last");
    for (const name of ["a.scope/job", "a.scope/last"]) {
      await until(() => !host.exists(name), `${name} is deleted`, 30_000);
      await until(() => host.said.includes(`${name}\n`), `${name} is accounted`, 30_000);
    }
    using client = host.daemon.connect();
    expect(client.inodes("after", { ipc: true, pid: true }).pid).toBeGreaterThan(0);
    expect(host.daemon.log).not.toMatch(/crashed|(?:\n| \|) *at /);
    expect((await host.daemon.status()).names).toBeGreaterThan(0);
  }

  it.each(REAPER_FAULTS)("survives %s in the reaper's thread", async (fault) => {
    await whileFailing(threadOf("reaper"), [fault], async () => {
      await host.scratch.runToEnd("a.scope/job");
      await sleep(1500);
      askNames();
    });
    await expectWork();
  });

  /** Asks the daemon, which may not be able to answer. */
  async function tryToAsk(request: ControlRequest): Promise<void> {
    await Promise.race([host.daemon.control(request).catch(() => undefined), sleep(500)]);
  }

  it.each(MAIN_FAULTS)("survives %s in the main thread", async (fault) => {
    await whileFailing(String(host.daemon.pid), [fault], async () => {
      await tryToAsk({ command: "list-records", after: -1, limit: 1 });
      await tryToAsk({ command: "status" });
      await tryToAsk({ command: "reload" });
      await host.scratch.runToEnd("a.scope/job");
      await sleep(500);
      askNames();
    });
    await expectWork();
  });

  it("is aborted by libuv if epoll_ctl fails in the main thread; the next daemon continues the work", async () => {
    const { child, directory } = host.daemon;
    // Newer versions of libuv make these calls through io_uring.
    const fault = "epoll_ctl,io_uring_enter:error=ENOMEM";
    await whileFailing(String(host.daemon.pid), [fault], async () => {
      const ended = once(child, "exit");
      await tryToAsk({ command: "status" });
      expect(await ended).toEqual([null, "SIGABRT"]);
    });
    await host.scratch.runToEnd("a.scope/job");
    await host.start();
    rmSync(directory, { recursive: true });
    await expectWork();
  });
});
