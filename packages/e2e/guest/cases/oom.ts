import assert from "node:assert/strict";
import type { Case } from "../case.ts";
import { endAllNames, inodesOf, startBusy } from "../tools/names.ts";
import { Scope } from "../tools/scope.ts";
import { attempt, sh } from "../tools/shell.ts";
import { initPids, mainPid, SERVICE } from "../tools/systemd.ts";

export const oom: Case = {
  title: "a real OOM in the slice spares the daemon and the inits",
  needsControllers: true,
  async run({ slowness }) {
    await endAllNames(slowness);
    const busy = await startBusy("spared", slowness);
    const inodes = inodesOf("spared");
    const before = [mainPid(), ...initPids()];
    for (const pid of before) assert.equal(sh(`cat /proc/${pid}/oom_score_adj`), "-1000");
    const scope = await Scope.start(slowness);
    const slice = "/sys/fs/cgroup/system.slice/system-cm4all.slice";
    try {
      sh("cm4all-slice install -p MemoryMax=300M -p MemorySwapMax=0");
      scope.run("hog", "tail /dev/zero");
      assert.notEqual(sh(`sed -n 's/^oom_kill //p' ${slice}/memory.events`), "0");
      assert.match(
        sh("journalctl -k -b --no-pager"),
        /Memory cgroup out of memory: Killed process \d+ \(tail\)/,
      );
      assert.deepEqual([mainPid(), ...initPids()], before);
      assert.deepEqual(inodesOf("spared"), inodes);
      assert.equal(attempt(`systemctl is-active ${SERVICE}`).status, 0);
    } finally {
      scope.stop();
      sh("cm4all-slice remove");
      busy.end();
      await endAllNames(slowness);
    }
  },
};
