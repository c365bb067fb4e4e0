import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { Case } from "../case.ts";
import {
  installFleet,
  query,
  removeFleet,
  startPostgres,
  stopPostgres,
} from "../tools/postgres.ts";
import { Scope } from "../tools/scope.ts";
import { sh, waitFor } from "../tools/shell.ts";
import { journalCursor, SERVICE } from "../tools/systemd.ts";

const CONFIG = "/etc/cm4all/spawn/spawn.toml";
const REPORT = "/run/kernel-limits.html";

/** The counters that alerts depend on; packages/spawn tests the alerts with Prometheus. */
interface Counts {
  readonly oomKills: number;
  readonly refusedForks: number;
}

async function readCounts(): Promise<Counts> {
  const page = await (await fetch("http://127.0.0.1:10469/metrics")).text();
  const sum = (name: string) =>
    [...page.matchAll(new RegExp(`^${name}\\{scope="[^"]*"\\} (\\d+)$`, "gm"))].reduce(
      (all, [, count]) => all + Number(count),
      0,
    );
  return {
    oomKills: sum("cm4all_spawn_reaper_scope_oom_kills_total"),
    refusedForks: sum("cm4all_spawn_reaper_scope_refused_forks_total"),
  };
}

export const kernelLimits: Case = {
  title: "processes that the kernel kills or refuses are in metrics, log, bill and report",
  needsControllers: true,
  async run({ slowness }) {
    await startPostgres(slowness);
    installFleet();
    sh(`cp ${CONFIG} /run/spawn.toml
        sed -i 's/^#listen = ""$/listen = "127.0.0.1:10469"/' ${CONFIG}
        systemctl restart ${SERVICE}`);
    const scope = await Scope.start(slowness);
    try {
      const before = await waitFor("metrics", 30_000 * slowness, () =>
        readCounts().catch(() => undefined),
      );
      const cursor = journalCursor();
      scope.makeOf("alice", "hog");
      scope.run("hog", "tail /dev/zero", { "memory.max": "50M" });
      scope.makeOf("bob", "crowd");
      // The two processes are the shell and its first child.
      scope.run("crowd", "exec sh -c 'sleep 1 & sleep 1'", { "pids.max": "2" });
      for (const name of ["hog", "crowd"]) await scope.waitUntilDeleted(name, 10_000 * slowness);
      await waitFor("metrics have both", 10_000 * slowness, async () => {
        const { oomKills, refusedForks } = await readCounts();
        return oomKills > before.oomKills && refusedForks > before.refusedForks;
      });
      const { oomKills, refusedForks } = before;
      assert.deepEqual(await readCounts(), {
        oomKills: oomKills + 1,
        refusedForks: refusedForks + 1,
      });

      // As the alerts say to look it up.
      const since = `--no-pager --after-cursor='${cursor}'`;
      assert.match(sh(`journalctl -k ${since} --grep=oom-kill`), /bp-spawn\.scope\/hog/);
      assert.match(sh(`journalctl -k ${since} --grep='fork rejected'`), /bp-spawn\.scope\/crowd/);
      const said = sh(`journalctl -t cm4all-spawn ${since} -o cat`);
      assert.match(said, /^crowd: .* procs_rejected=1\b/m);

      await waitFor("both rows", 30_000 * slowness, () => {
        const rows = query("SELECT id FROM fleet_usage WHERE customer IN ('alice', 'bob')");
        return rows.length === 2;
      });
      sh("runuser -u postgres -- psql -d accounting -c 'CALL bill_fleet()'");
      const bills = "SELECT customer, oom_kills, refused_forks FROM fleet_customer_days ORDER BY 1";
      assert.deepEqual(query(bills), [
        ["alice", "1", "0"],
        ["bob", "0", "1"],
      ]);
      sh(`cm4all-spawn report --html ${REPORT}`);
      const report = readFileSync(REPORT, "utf8");
      const figure = "<td>[^<]+</td>";
      const row = (name: string, killed: number, refused: number) =>
        new RegExp(`${name}</td><td>${killed}</td>${figure}<td>${refused}</td>${figure}</tr>`);
      assert.match(report, row("alice", 1, 0));
      assert.match(report, row("bob", 0, 1));
    } finally {
      scope.stop();
      sh(`cp /run/spawn.toml ${CONFIG}; rm -f ${REPORT}`);
      removeFleet();
      stopPostgres();
    }
  },
};
