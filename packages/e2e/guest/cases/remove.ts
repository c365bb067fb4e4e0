import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import type { Case } from "../case.ts";
import { endAllNames, inodesOf, startBusy } from "../tools/names.ts";
import { sh, waitFor } from "../tools/shell.ts";
import { initPids, isActive, SERVICE, SOCKET } from "../tools/systemd.ts";

export const remove: Case = {
  title:
    "removal ends idle namespaces, not customers' processes; reinstallation adopts busy namespaces",
  async run({ slowness }) {
    await endAllNames(slowness);
    const busy = await startBusy("kept", slowness);
    const before = inodesOf("kept");
    inodesOf("idle");
    const inits = initPids();
    assert.equal(inits.length, 2);
    sh("apt-get -q -y remove cm4all-spawn");
    assert.ok(!isActive(SERVICE));
    assert.ok(!isActive(SOCKET));
    assert.ok(busy.isRunning());
    const left = inits.filter((pid) => existsSync(`/proc/${pid}`));
    assert.equal(left.length, 1);
    assert.ok(existsSync("/etc/cm4all/spawn/spawn.toml"));
    assert.ok(existsSync("/var/lib/cm4all-spawn"));

    sh("apt-get -q -y install /e2e/in/packages/cm4all-spawn_*.deb");
    assert.ok(isActive(SERVICE));
    // The busy namespaces are adopted. The idle ones ended with the unit, because systemd emptied
    // the unit's file descriptor store.
    assert.equal(inodesOf("kept").pid, before.pid);
    assert.ok(busy.isRunning());
    busy.end();
    await waitFor("the busy process has ended", 10_000 * slowness, () => !busy.isRunning());
    sh("cm4all-spawn purge-namespaces --all");
  },
};
