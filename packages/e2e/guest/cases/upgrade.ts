import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { Case } from "../case.ts";
import { holdNames, readNames, startLoad } from "../tools/clients.ts";
import { endAllNames } from "../tools/names.ts";
import { sh, waitFor } from "../tools/shell.ts";
import { initPids, isActive, mainPid, property, SERVICE, SOCKET } from "../tools/systemd.ts";

export const upgrade: Case = {
  title: "an upgrade under load fails no request, loses no namespace, and leaves the socket alone",
  async run({ slowness, note }) {
    const count = slowness > 1 ? 100 : 1000;
    const timeoutMs = 120_000 * Math.sqrt(slowness);
    await endAllNames(slowness);
    const { client, inodes } = await holdNames("upgraded", count, timeoutMs);
    const inits = initPids().sort();
    const socketSince = property(SOCKET, "ActiveEnterTimestampMonotonic");
    const pid = mainPid();
    const load = await startLoad("upgraded", count, timeoutMs);
    sh("apt-get -q -y install /e2e/in/upgrade/*.deb");
    await waitFor("the new daemon", timeoutMs, () => isActive(SERVICE) && mainPid() !== pid);
    await sleep(1000);
    const report = await load.end();
    assert.deepEqual(report.errors, []);
    note(`${report.requests} requests, longest ${report.longestMs} ms`);
    assert.match(sh("dpkg-query -W -f '${Version}' cm4all-spawn"), /e2e1$/);
    assert.equal(property(SOCKET, "ActiveEnterTimestampMonotonic"), socketSince);
    assert.deepEqual(await readNames("upgraded", count, timeoutMs), inodes);
    assert.deepEqual(initPids().sort(), inits);
    await client.end();
    await endAllNames(slowness);
    sh("apt-get -q -y --allow-downgrades install /e2e/in/packages/*.deb");
    assert.ok(isActive(SERVICE));
  },
};
