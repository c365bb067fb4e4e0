import assert from "node:assert/strict";
import type { Case } from "../case.ts";
import { attempt, sh } from "../tools/shell.ts";
import { isActive, mainPid, SERVICE, SOCKET } from "../tools/systemd.ts";

const ACCESSORY = "cm4all-spawn-accessory.service";
const REAPER = "cm4all-spawn-reaper.service";

export const oldNames: Case = {
  title: "stopping and masking the original packages' unit names does what README says",
  run() {
    const pid = mainPid();
    try {
      // There is only one daemon: neither stopping the reaper's unit nor masking the names ends it.
      sh(`systemctl stop ${REAPER}`);
      assert.equal(mainPid(), pid);
      for (const name of [REAPER, ACCESSORY]) attempt(`systemctl mask ${name}`);
      assert.equal(mainPid(), pid);
      assert.ok(isActive(SERVICE));
      sh(`systemctl restart ${SERVICE}`);
      assert.ok(isActive(SERVICE));
    } finally {
      attempt(`systemctl unmask ${REAPER} ${ACCESSORY}; systemctl daemon-reload`);
    }
    assert.notEqual(mainPid(), pid);
    // The accessory's unit names are aliases of the daemon's.
    sh(`systemctl stop cm4all-spawn-accessory.socket ${ACCESSORY}`);
    assert.ok(!isActive(SERVICE) && !isActive(SOCKET));
    sh(`systemctl start ${SOCKET} ${SERVICE}`);
    assert.ok(isActive(SERVICE));
  },
};
