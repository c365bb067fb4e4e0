import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import type { Case } from "../case.ts";
import { inodesOf } from "../tools/names.ts";
import { log, sh, waitFor } from "../tools/shell.ts";
import { isActive, mainPid, property, SERVICE } from "../tools/systemd.ts";

/**
 * Stops one thread with PTRACE_ATTACH of ptrace(2) for as long as Perl runs. Perl also has to wait
 * for the thread (__WALL): when the daemon is killed, a traced thread remains a zombie until its
 * tracer has waited for it. The number of the system call, 101, is that of x86-64.
 */
const STOP_THREAD = `
  syscall(101, 16, $ARGV[0] + 0, 0, 0) == 0 or die "ptrace: $!";
  1 while waitpid($ARGV[0], 0x40000000) > 0;
  sleep 3600;`;

function threadNamed(pid: number, name: RegExp): number {
  const threads = readdirSync(`/proc/${pid}/task`).map(Number);
  const found = threads.find((tid) =>
    name.test(readFileSync(`/proc/${pid}/task/${tid}/comm`, "utf8").trim()),
  );
  if (found === undefined) throw new Error(`no thread ${name}`);
  return found;
}

export const watchdog: Case = {
  title: "if the main thread or a worker is stopped, the service is restarted, and namespaces stay",
  async run({ slowness, note }) {
    const dropIn = `/run/systemd/system/${SERVICE}.d`;
    const seconds = 3 * Math.ceil(Math.sqrt(slowness));
    sh(`mkdir -p ${dropIn}; printf '[Service]\\nWatchdogSec=${seconds}\\n' >${dropIn}/e2e.conf`);
    sh(`systemctl daemon-reload; systemctl restart ${SERVICE}`);
    try {
      const before = inodesOf("watched");
      for (const thread of ["main", "namespaces", "reaper"]) {
        const pid = mainPid();
        const tid = thread === "main" ? pid : threadNamed(pid, new RegExp(`^${thread}`));
        log(`stopping ${thread}: ${tid}`);
        const startMs = performance.now();
        const tracer = spawn("perl", ["-e", STOP_THREAD, String(tid)], { stdio: "inherit" });
        try {
          await waitFor(`a restart after ${thread} stopped`, (seconds + 20) * 2000, () => {
            const now = mainPid();
            return now !== pid && now !== 0 && isActive(SERVICE);
          });
        } finally {
          tracer.kill("SIGKILL");
        }
        note(`${thread}: ${((performance.now() - startMs) / 1000).toFixed(1)} s of ${seconds}`);
        assert.deepEqual(inodesOf("watched"), before);
      }
    } finally {
      sh(`rm -r ${dropIn}; systemctl daemon-reload; systemctl restart ${SERVICE}`);
    }
    assert.equal(property(SERVICE, "WatchdogUSec"), "30s");
  },
};
