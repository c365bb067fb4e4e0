import assert from "node:assert/strict";
import type { Case } from "../case.ts";
import { inodesOf } from "../tools/names.ts";
import { sh } from "../tools/shell.ts";
import { initPids, isActive, SERVICE, SOCKET } from "../tools/systemd.ts";

export const reboot: Case = {
  title: "the units start again after a reboot, and nothing from before is left",
  run() {
    inodesOf("before-reboot");
  },
  afterReboot() {
    sh("systemctl is-system-running --wait || true");
    assert.ok(isActive(SOCKET));
    assert.ok(isActive(SERVICE));
    assert.deepEqual(initPids(), []);
    inodesOf("after-reboot");
    sh("cm4all-spawn purge-namespaces --all");
  },
};
