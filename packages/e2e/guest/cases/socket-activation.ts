import assert from "node:assert/strict";
import type { Case } from "../case.ts";
import { sh } from "../tools/shell.ts";
import { isActive, SERVICE, SOCKET } from "../tools/systemd.ts";

export const socketActivation: Case = {
  title:
    "the first client starts the daemon, even one whose unit names the original daemon's socket",
  run() {
    sh(`systemctl stop ${SERVICE}`);
    assert.ok(!isActive(SERVICE));
    assert.ok(isActive(SOCKET));
    sh("cm4all-spawn-client --timeout 60 request activated --ipc");
    assert.ok(isActive(SERVICE));

    sh(`systemctl stop ${SERVICE} ${SOCKET}`);
    const unit =
      "[Unit]\\nWants=cm4all-spawn-accessory.socket\\nAfter=cm4all-spawn-accessory.socket";
    const command = "/usr/bin/cm4all-spawn-client --timeout 60 request wanted --ipc";
    sh(`printf '${unit}\\n[Service]\\nType=oneshot\\nExecStart=${command}\\n' \\
        >/run/systemd/system/e2e-spawner.service; systemctl daemon-reload`);
    sh("systemctl start e2e-spawner.service");
    assert.ok(isActive(SOCKET));
    assert.ok(isActive(SERVICE));
    sh("rm /run/systemd/system/e2e-spawner.service; systemctl daemon-reload");
    sh(`systemctl start ${SERVICE}`);
  },
};
