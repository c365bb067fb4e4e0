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
import {
  alertsSoFar,
  firingAlerts,
  recordedSamples,
  startPrometheus,
  stopPrometheus,
} from "../tools/prometheus.ts";
import { Scope } from "../tools/scope.ts";
import { sh, waitFor } from "../tools/shell.ts";
import { journalCursor, SERVICE } from "../tools/systemd.ts";

const CONFIG = "/etc/cm4all/spawn/spawn.toml";
const REPORT = "/run/kernel-limits.html";

/** The alerts about OOM kills and refused forks, and the recorded series that each depends on. */
const ALERTS = {
  CM4allSpawnOomKills: "instance:cm4all_spawn_oom_kills:sum",
  CM4allSpawnRefusedForks: "instance:cm4all_spawn_refused_forks:sum",
};

/** The time limit for Prometheus, which works at fixed intervals, even on slow machines. */
const PATIENCE_MS = 180_000;

/** The counters that the alerts depend on. */
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
  title: "OOM kills and refused forks appear in the metrics, alerts, log, bill and report",
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
      await startPrometheus(slowness);
      // increase() needs a value from before the increase.
      await waitFor("the rules are evaluated", PATIENCE_MS, async () => {
        const samples = await Promise.all(Object.values(ALERTS).map(recordedSamples));
        return samples.every((count) => count >= 2);
      });
      assert.deepEqual(await alertsSoFar(), []);
      const cursor = journalCursor();
      scope.makeOf("alice", "hog");
      scope.run("hog", "tail /dev/zero", { "memory.max": "50M" });
      scope.makeOf("bob", "crowd");
      // The limit allows the shell and its first child.
      scope.run("crowd", "exec sh -c 'sleep 1 & sleep 1'", { "pids.max": "2" });
      for (const name of ["hog", "crowd"]) await scope.waitUntilDeleted(name, 10_000 * slowness);
      await waitFor("the metrics count the kill and the refusal", 10_000 * slowness, async () => {
        const { oomKills, refusedForks } = await readCounts();
        return oomKills > before.oomKills && refusedForks > before.refusedForks;
      });
      const { oomKills, refusedForks } = before;
      assert.deepEqual(await readCounts(), {
        oomKills: oomKills + 1,
        refusedForks: refusedForks + 1,
      });

      const alerts = await waitFor("both alerts fire", PATIENCE_MS, async () => {
        const firing = await firingAlerts();
        return firing.length >= 2 && firing;
      });
      assert.deepEqual(alerts.map(({ name }) => name).sort(), Object.keys(ALERTS));
      for (const { summary } of alerts)
        assert.match(summary, /^127\.0\.0\.1:10469: about 1(\.\d+)? (processes|forks) in cgroups /);
      // No other alert has even been pending, because nothing else has gone wrong.
      assert.deepEqual(await alertsSoFar(), Object.keys(ALERTS));

      // These commands search the journal as the alerts say.
      const since = `--no-pager --after-cursor='${cursor}'`;
      assert.match(sh(`journalctl -k ${since} --grep=oom-kill`), /bp-spawn\.scope\/hog/);
      assert.match(sh(`journalctl -k ${since} --grep='fork rejected'`), /bp-spawn\.scope\/crowd/);
      const said = sh(`journalctl -t cm4all-spawn ${since} -o cat`);
      assert.match(said, /^crowd: .* procs_rejected=1\b/m);

      await waitFor("the rows of both customers", 30_000 * slowness, () => {
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
      stopPrometheus();
      scope.stop();
      sh(`cp /run/spawn.toml ${CONFIG}; rm -f ${REPORT}`);
      removeFleet();
      stopPostgres();
    }
  },
};
