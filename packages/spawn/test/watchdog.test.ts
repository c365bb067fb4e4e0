/**
 * Tests that the daemon does not feed the service manager's watchdog while one of its threads is
 * stopped, but feeds it while the daemon waits for a disk.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { missing, ScratchCgroup } from "@cm4all/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { TestDaemon } from "./support/daemon.ts";
import { until } from "./support/daemon.ts";
import { FakeManager } from "./support/manager.ts";
import { StoppedThread, stoppableThreads, threadOf } from "./support/stopped-thread.ts";

const WATCHDOG_MS = 300;

describe.skipIf(missing("root", "catatonit", "cgroup2", stoppableThreads) !== undefined)(
  "the watchdog",
  () => {
    let manager: FakeManager;
    let daemon: TestDaemon;
    let scratch: ScratchCgroup;
    let directory: string;
    let tracer: ChildProcess | undefined;
    beforeEach(async () => {
      manager = new FakeManager();
      scratch = new ScratchCgroup();
      scratch.make("a.scope");
      directory = mkdtempSync(join(tmpdir(), "watchdog-"));
      const script = join(directory, "accounting.lua");
      writeFileSync(script, "function cgroup_released() end");
      daemon = await manager.start({
        config: `[reaper]\ncgroup_root = "${scratch.path}"\nscopes = ["*.scope"]
[accounting]\nscript = "${script}"\nuser = "root"\n`,
        env: { WATCHDOG_USEC: String(WATCHDOG_MS * 1000) },
      });
    });
    afterEach(async () => {
      if (tracer !== undefined) {
        const ended = once(tracer, "exit");
        if (tracer.kill("SIGKILL")) await ended;
        tracer = undefined;
      }
      await daemon.stop();
      await manager.close();
      await scratch.remove();
      rmSync(directory, { recursive: true });
    });

    const count = () => manager.lines.filter((line) => line === "WATCHDOG=1").length;

    async function untilFed(): Promise<void> {
      const before = count();
      await until(() => count() > before + 2, "the watchdog is fed");
    }

    it.each(["namespaces", "reaper"])("is not fed while the thread %s is stopped", async (name) => {
      await untilFed();
      {
        await using _ = await StoppedThread.stop(threadOf(daemon.pid, name));
        // An answer that the thread gave before it was stopped may still cause a notification.
        await new Promise((resolve) => setTimeout(resolve, WATCHDOG_MS));
        const before = count();
        await new Promise((resolve) => setTimeout(resolve, 5 * WATCHDOG_MS));
        expect(count()).toBe(before);
      }
      await untilFed();
    });

    it.skipIf(missing("strace") !== undefined)(
      "is fed while the journal's disk hangs",
      async () => {
        await daemon.untilLogged("accounting with");
        const hang = ["pwrite64", "fdatasync"].flatMap((call) => [
          "-e",
          `inject=${call}:delay_enter=600s`,
        ]);
        tracer = spawn("strace", ["-f", "-o", "/dev/null", "-p", String(daemon.pid), ...hang], {
          stdio: ["ignore", "ignore", "pipe"],
        });
        if (tracer.stderr === null) throw new Error("no output");
        // strace prints a line when it has attached to the threads.
        await once(tracer.stderr, "data");
        await scratch.runToEnd("a.scope/job");
        await daemon.untilLogged(" job: ");
        for (let i = 0; i < 10; i++) await untilFed();
        expect(existsSync(join(scratch.path, "a.scope/job"))).toBe(true);
        const ended = once(tracer, "exit");
        tracer.kill("SIGINT");
        await ended;
        tracer = undefined;
        await until(() => !existsSync(join(scratch.path, "a.scope/job")), "it is deleted");
      },
    );
  },
);
