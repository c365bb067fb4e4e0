import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Case } from "../case.ts";
import { holdNames, type LoadReport, readNames, startLoad } from "../tools/clients.ts";
import { endAllNames } from "../tools/names.ts";
import { log, sh, waitFor } from "../tools/shell.ts";
import { initPids, isActive, mainPid, property, SERVICE } from "../tools/systemd.ts";

const EVENTS: Readonly<Record<string, () => void>> = {
  restart: () => void sh(`systemctl restart ${SERVICE}`),
  "kill -9": () => void sh(`kill -9 ${mainPid()}`),
  "daemon-reload": () => void sh("systemctl daemon-reload"),
  "daemon-reexec": () => void sh("systemctl daemon-reexec"),
};

/**
 * Returns the number of names for which the daemon can open enough files: in a container, it has
 * the host's limit on open files, whatever LimitNOFILE= says.
 */
function namesThatFit(): number {
  const limits = readFileSync(`/proc/${mainPid()}/limits`, "utf8");
  const files = Number(/^Max open files +(\d+)/m.exec(limits)?.[1]);
  // Each leased name takes two descriptors; 6000 are left for open namespaces, connections and
  // cgroups.
  return Math.floor((files - 6000) / 2);
}

export const survive: Case = {
  title: "restart, kill -9 and daemon-reload keep every namespace, init and lease under load",
  async run({ slowness, note }) {
    const count = slowness > 1 ? 500 : Math.min(10_000, namesThatFit());
    const timeoutMs = 120_000 * Math.sqrt(slowness);
    await endAllNames(slowness);
    const { client, inodes } = await holdNames("held", count, timeoutMs);
    const inits = initPids().sort();
    assert.equal(inits.length, count);
    assert.equal(property(SERVICE, "NFileDescriptorStore"), "1");
    note(`${count} names`);
    for (const [name, act] of Object.entries(EVENTS)) {
      const load = await startLoad("held", count, timeoutMs);
      const before = mainPid();
      act();
      const isSame = name.startsWith("daemon-");
      await waitFor(`the service is active after ${name}`, timeoutMs, () => {
        const pid = mainPid();
        return pid !== 0 && (pid === before) === isSame && isActive(SERVICE);
      });
      await sleep(1000);
      const report: LoadReport = await load.end();
      log(`${name}: ${JSON.stringify(report)}`);
      assert.deepEqual(report.errors, [], name);
      note(`${name} ${report.requests} requests, longest ${report.longestMs} ms`);
      assert.deepEqual(await readNames("held", count, timeoutMs), inodes, name);
      assert.deepEqual(initPids().sort(), inits, name);
    }
    await client.end();
    await endAllNames(slowness);
  },
};
