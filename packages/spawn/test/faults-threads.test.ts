/**
 * Injects errors into system calls of the reaper's thread and of the main thread. Not into those of
 * libuv's own loop, at whose failure it aborts: epoll_ctl(2) in the main thread, and read(2) of its
 * eventfd.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { missing, readProc, ScratchCgroup } from "@cm4all/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { TestDaemon, until } from "./support/daemon.ts";

const cannotRun = missing("root", "catatonit", "cgroup2", "strace") !== undefined;

/** Calls of the reaper, all of which fail. */
const REAPER_FAULTS = [
  "openat:error=ENOMEM",
  "statx:error=ENOMEM",
  "unlinkat:error=ENOMEM",
  "flistxattr:error=ENOMEM",
  "epoll_ctl:error=ENOMEM",
  "inotify_add_watch:error=ENOMEM",
  "inotify_rm_watch:error=ENOMEM",
  "write:error=ENOMEM",
];

/** Calls of the main thread. */
const MAIN_FAULTS = [
  "accept4:error=ENOMEM",
  "accept4:error=ENOBUFS",
  "sendmsg:error=ENOBUFS",
  "write,writev:error=ENOMEM",
  "read:error=ENOMEM:when=1..3",
  "openat,open:error=ENOMEM",
  "statx,stat,newfstatat:error=ENOMEM",
];

describe.skipIf(cannotRun)("the daemon survives", { timeout: 60_000 }, () => {
  let scratch: ScratchCgroup;
  let daemon: TestDaemon;
  beforeEach(async () => {
    scratch = new ScratchCgroup();
    scratch.make("a.scope");
    daemon = await TestDaemon.start({
      config: `[reaper]\ncgroup_root = "${scratch.path}"\nscopes = ["*.scope"]\ncheck_seconds = 1\n`,
    });
    await scratch.runToEnd("a.scope/first");
    await until(() => !existsSync(join(scratch.path, "a.scope/first")), "the reaper works");
  });
  afterEach(async () => {
    await daemon.stop();
    await scratch.remove();
  });

  function threadOf(name: string): string {
    const tasks = `/proc/${daemon.pid}/task`;
    const tid = readdirSync(tasks).find((each) => readProc(Number(each), "comm").trim() === name);
    if (tid === undefined) throw new Error(`there is no thread ${name}`);
    return tid;
  }

  async function whileFailing(tid: string, fault: string, work: () => Promise<void>) {
    const [calls = ""] = fault.split(":");
    const args = ["-p", tid, "-o", "/dev/null", "-e", `trace=${calls}`, "-e", `inject=${fault}`];
    const strace = spawn("strace", args, { stdio: ["ignore", "ignore", "pipe"] });
    try {
      let said = "";
      strace.stderr.on("data", (data) => {
        said += data;
      });
      await until(() => said.includes("attached"), "the thread is traced");
      await work();
    } finally {
      const ended = once(strace, "exit");
      if (strace.exitCode === null && strace.kill("SIGINT")) await ended;
    }
  }

  async function expectWork(): Promise<void> {
    await scratch.runToEnd("a.scope/last");
    await until(
      () => ["job", "last"].every((name) => !existsSync(join(scratch.path, "a.scope", name))),
      "both cgroups are deleted",
      30_000,
    );
    using client = daemon.connect();
    expect(client.inodes("after", { ipc: true, pid: true }).pid).toBeGreaterThan(0);
    expect(daemon.log).not.toMatch(/crashed|(?:\n| \|) *at /);
    expect((await daemon.status()).names).toBeGreaterThan(0);
  }

  it.each(REAPER_FAULTS)("%s in the reaper's thread", async (fault) => {
    await whileFailing(threadOf("reaper"), fault, async () => {
      await scratch.runToEnd("a.scope/job");
      await new Promise((resolve) => setTimeout(resolve, 1500));
      using client = daemon.connect();
      client.inodes("name", { ipc: true });
    });
    await expectWork();
  });

  it.each(MAIN_FAULTS)("%s in the main thread", async (fault) => {
    await whileFailing(String(daemon.pid), fault, async () => {
      await scratch.runToEnd("a.scope/job");
      await Promise.race([
        daemon.control({ command: "status" }).catch(() => undefined),
        new Promise((resolve) => setTimeout(resolve, 1000)),
      ]);
      await new Promise((resolve) => setTimeout(resolve, 500));
      using client = daemon.connect();
      client.inodes("name", { ipc: true });
    });
    await expectWork();
  });
});
