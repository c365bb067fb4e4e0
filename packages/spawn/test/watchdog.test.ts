/** The service manager hears nothing more of a daemon of which one thread stands still. */
import { missing, ScratchCgroup } from "@cm4all/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { TestDaemon } from "./support/daemon.ts";
import { until } from "./support/daemon.ts";
import { FakeManager } from "./support/manager.ts";
import { cannotStopThreads, StoppedThread, threadOf } from "./support/stopped-thread.ts";

const WATCHDOG_MS = 300;

describe.skipIf(missing("root", "catatonit", "cgroup2") !== undefined || cannotStopThreads)(
  "the watchdog",
  () => {
    let manager: FakeManager;
    let daemon: TestDaemon;
    let scratch: ScratchCgroup;
    beforeEach(async () => {
      manager = new FakeManager();
      scratch = new ScratchCgroup();
      scratch.make("a.scope");
      daemon = await manager.start({
        config: `[reaper]\ncgroup_root = "${scratch.path}"\nscopes = ["*.scope"]\n`,
        env: { WATCHDOG_USEC: String(WATCHDOG_MS * 1000) },
      });
    });
    afterEach(async () => {
      await daemon.stop();
      await manager.close();
      await scratch.remove();
    });

    const count = () => manager.lines.filter((line) => line === "WATCHDOG=1").length;

    async function untilFed(): Promise<void> {
      const before = count();
      await until(() => count() > before + 2, "the manager hears of it");
    }

    it.each(["namespaces", "reaper"])(
      "is not fed while the thread %s stands still",
      async (name) => {
        await untilFed();
        {
          await using _ = await StoppedThread.stop(threadOf(daemon.pid, name));
          // What was answered before may be told yet.
          await new Promise((resolve) => setTimeout(resolve, WATCHDOG_MS));
          const before = count();
          await new Promise((resolve) => setTimeout(resolve, 5 * WATCHDOG_MS));
          expect(count()).toBe(before);
        }
        await untilFed();
      },
    );
  },
);
