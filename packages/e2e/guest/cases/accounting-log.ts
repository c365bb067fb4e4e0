import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import type { Case } from "../case.ts";
import { Scope } from "../tools/scope.ts";
import { sh, waitFor } from "../tools/shell.ts";
import {
  commandLine,
  journalCursor,
  pidsOf,
  SERVICE,
  said,
  scriptUnits,
} from "../tools/systemd.ts";

const CONFIG = "/etc/cm4all/spawn/spawn.toml";
const SCRIPT = "/etc/cm4all/spawn/accounting.lua";

export const accountingLog: Case = {
  title: "a spawner's cgroups are measured, logged, passed to Lua, and deleted",
  async run({ slowness, hasControllers }) {
    writeFileSync(
      SCRIPT,
      `function cgroup_released(cgroup)
        print("lua", cgroup.path, cgroup.cpu_total, cgroup.memory_peak, cgroup.pids_peak,
          cgroup.memory_events_oom_kill)
      end\n`,
    );
    // On an emulated machine, the script host starts slowly, so it gets more time to respond.
    sh(`cp ${CONFIG} /run/spawn.toml.e2e`);
    sh(
      `sed -i '/^#* *answer_seconds/d; s/^\\[accounting\\]$/&\\nanswer_seconds = ${10 * slowness}/' ${CONFIG}`,
    );
    sh(`systemctl restart ${SERVICE}`);
    const cursor = journalCursor();
    const host = await waitFor("the script host", 10_000 * slowness, () =>
      scriptUnits()
        .flatMap(pidsOf)
        .find((pid) => commandLine(pid).startsWith("cm4all-spawn script host")),
    );
    assert.equal(sh(`cat /proc/${host}/oom_score_adj`), "200");
    const scope = await Scope.start(slowness);
    try {
      // Uses a second of CPU time, however long that takes.
      scope.run("burn", "sh -c 'ulimit -t 1; while :; do :; done'");
      scope.run("fork", "for i in 1 2 3 4 5 6 7 8; do sleep 0.1 & done; wait");
      scope.run("grow", "head -c 30M /dev/zero | tail -c 30M >/dev/null");
      if (hasControllers)
        scope.run("oom", "tail /dev/zero", { "memory.max": "20M", "memory.swap.max": "0" });
      for (const name of ["burn", "fork", "grow", "oom"])
        await scope.waitUntilDeleted(name, 10_000 * slowness);
      const lines = await waitFor("Lua has printed", 10_000 * slowness, () => {
        const text = said(cursor);
        return /lua.*grow/.test(text) && (!hasControllers || /lua.*oom/.test(text)) && text;
      });
      assert.match(lines, /^burn: .*cpu=/m);
      const lua = (name: string) =>
        new RegExp(`lua\\s+\\S*bp-spawn\\.scope/${name}\\s+(.*)`).exec(lines)?.[1]?.split(/\s+/);
      assert.ok(Number(lua("burn")?.[0]) > 0.1, "CPU of burn");
      if (hasControllers) {
        assert.ok(Number(lua("grow")?.[1]) > 30_000_000, "memory peak of grow");
        assert.ok(Number(lua("fork")?.[2]) >= 8, "processes of fork");
        assert.ok(Number(lua("oom")?.[3]) >= 1, "OOM kills of oom");
        assert.match(lines, /^grow: .*memory=/m);
      }
    } finally {
      scope.stop();
      sh(`rm ${SCRIPT}; cp /run/spawn.toml.e2e ${CONFIG}; systemctl restart ${SERVICE}`);
    }
  },
};
