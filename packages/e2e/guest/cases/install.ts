import assert from "node:assert/strict";
import type { Case } from "../case.ts";
import { attempt, sh } from "../tools/shell.ts";
import { isActive, property, SERVICE, SOCKET } from "../tools/systemd.ts";

const UNITS = [SERVICE, SOCKET, "system-cm4all.slice", "cm4all-spawn-netns@web.service"];

export const install: Case = {
  title: "the packages install, their units start and pass systemd-analyze",
  run({ note }) {
    sh("apt-get -q -y --no-install-recommends install /e2e/in/packages/*.deb");
    assert.equal(sh("dpkg --audit"), "");
    assert.ok(isActive(SOCKET), "the socket is active");
    assert.ok(isActive(SERVICE), "the service is active");
    for (const unit of [SOCKET, SERVICE])
      assert.equal(sh(`systemctl is-enabled ${unit}`), "enabled");
    assert.equal(property(SERVICE, "Slice"), "system-cm4all.slice");
    assert.equal(property(SERVICE, "FileDescriptorStorePreserve"), "yes");
    assert.equal(property("cm4all-spawn-accessory.socket", "Id"), SOCKET);
    assert.equal(property("cm4all-spawn-accessory.service", "Id"), SERVICE);
    assert.equal(property("cm4all-spawn-reaper.service", "Id"), SERVICE);
    sh("id cm4all-spawn-reaper");
    assert.equal(sh("stat -c '%a %U %G' /var/lib/cm4all-spawn"), "700 root root");
    for (const unit of UNITS) assert.equal(sh(`systemd-analyze verify --man=no ${unit} 2>&1`), "");
    const exposure = sh(`systemd-analyze security --no-pager ${SERVICE} | tail -n 1`);
    const level = /level for \S+: ([\d.]+)/.exec(exposure)?.[1];
    assert.ok(Number(level) <= 4.5, exposure);
    note(`exposure ${level}`);
    const status = attempt("cm4all-spawn status");
    // 1 is a daemon that runs, and names what the host lacks.
    assert.ok(status.status === 0 || status.status === 1, status.stdout + status.stderr);
    assert.equal(attempt("systemctl --failed --no-legend").stdout, "");
  },
};
