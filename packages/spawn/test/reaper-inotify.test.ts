/**
 * Runs a reaper without inotify: it finds cgroups by its periodic check, and watches them as soon
 * as inotify is available.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { missing, readProc, ScratchCgroup } from "@cm4all/testing";
import { describe, expect, it, onTestFinished } from "vitest";
import type { DaemonStatus } from "../src/status/status.ts";
import { kill, TestDaemon, until } from "./support/daemon.ts";

const FAULTS = [
  "inotify_init1:error=EMFILE",
  "inotify_init1:error=ENOMEM",
  "inotify_add_watch:error=ENOSPC",
  "inotify_add_watch:error=ENOMEM",
];

const WARNING = /Changes in directories without a watch are found by the check/;

const cannotRun = missing("root", "catatonit", "cgroup2", "strace") !== undefined;

describe.skipIf(cannotRun)("a reaper", () => {
  it.each(FAULTS)(
    "with %s finds cgroups by its periodic check, and watches them when it can",
    { timeout: 120_000 },
    async (fault) => {
      const scratch = new ScratchCgroup();
      scratch.make("a.scope/old");
      // -D: the daemon is the child of this process, and the tracer a separate process.
      const trace = ["-f", "-D", "-qq", "-o", "/dev/null", "-e", `trace=${fault.split(":")[0]}`];
      const daemon = await TestDaemon.start({
        config: `[reaper]\ncgroup_root = "${scratch.path}"\nscopes = ["*.scope"]\ncheck_seconds = 1\n`,
        wrapper: ["strace", ...trace, "-e", `inject=${fault}`],
      });
      onTestFinished(async () => {
        await daemon.stop();
        await scratch.remove();
      });
      const status = async () => (await daemon.control({ command: "status" })) as DaemonStatus;
      const isGone = (name: string) => !existsSync(join(scratch.path, "a.scope", name));
      await until(() => WARNING.test(daemon.log), "the daemon warns");
      using client = daemon.connect();
      expect(client.inodes("name", { ipc: true, pid: true }).pid).toBeGreaterThan(0);
      await scratch.runToEnd("a.scope/job");
      await until(() => isGone("old") && isGone("job"), "both are deleted");
      expect(daemon.log.split("\n").filter((line) => WARNING.test(line))).toHaveLength(1);
      expect(daemon.log).not.toMatch(/(?:\n| \|) *at |crashed/);
      const tracer = Number(/^TracerPid:\t(\d+)$/m.exec(readProc(daemon.pid, "status"))?.[1]);
      kill(tracer);
      await until(async () => (await status()).reaper?.inotifyWatches === 2, "it watches", 20_000);
    },
  );
});
