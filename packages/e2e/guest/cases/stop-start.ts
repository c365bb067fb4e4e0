import assert from "node:assert/strict";
import type { Case } from "../case.ts";
import { endAllNames, inodesOf, startBusy } from "../tools/names.ts";
import { sh, waitFor } from "../tools/shell.ts";
import { initPids, SERVICE, SOCKET } from "../tools/systemd.ts";

export const stopStart: Case = {
  title: "a stop and a start keep namespaces with processes; purge-namespaces leaves no process",
  async run({ slowness }) {
    await endAllNames(slowness);
    const busy = await startBusy("busy", slowness);
    const before = inodesOf("busy");
    inodesOf("idle");
    assert.equal(initPids().length, 2);
    sh(`systemctl stop ${SERVICE} ${SOCKET}`);
    assert.ok(busy.isRunning());
    assert.ok(initPids().length >= 1, "the init of the busy name still runs");
    sh(`systemctl start ${SOCKET} ${SERVICE}`);
    assert.deepEqual(inodesOf("busy"), before);
    assert.ok(busy.isRunning());
    sh("cm4all-spawn purge-namespaces --all --idle");
    assert.ok(busy.isRunning());
    await endAllNames(slowness);
    await waitFor("the busy process has ended", 10_000 * slowness, () => !busy.isRunning());
  },
};
