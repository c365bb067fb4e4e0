import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import type { Case } from "../case.ts";
import {
  createDatabase,
  dropDatabase,
  query,
  startPostgres,
  stopPostgres,
} from "../tools/postgres.ts";
import { listRecords } from "../tools/records.ts";
import { Scope } from "../tools/scope.ts";
import { attempt, sh, waitFor } from "../tools/shell.ts";
import { isActive, mainPid, SERVICE } from "../tools/systemd.ts";

const SCRIPT = "/etc/cm4all/spawn/accounting.lua";

/**
 * A script like those for the original daemon: if a record were passed to it twice, it would book
 * the record twice.
 */
const PLAIN = `
  local db = pg:new("dbname=accounting")
  function cgroup_released(cgroup)
    assert(db:execute("INSERT INTO booked (path, cpu) VALUES ($1, $2)",
      { cgroup.path, cgroup.cpu_total or 0 }))
  end
`;

/** The names of the cgroups. Each is used several times, as spawners do. */
const NAMES = ["outage-a", "outage-b", "outage-c"];
const ROUNDS = 4;
const COUNT = NAMES.length * ROUNDS;

/** Returns only the records of these cgroups: the scope itself leaves a record, too. */
const ofOurs = () => listRecords().filter(({ path }) => path.includes("/outage-"));

/**
 * Runs commands in the cgroups, each of which has to be gone before its name is used again.
 * @returns the longest time, in milliseconds, until a cgroup was gone
 */
async function useNames(scope: Scope, slowness: number): Promise<number> {
  let longestMs = 0;
  for (const name of NAMES) {
    scope.run(name, "true");
    const startMs = performance.now();
    await scope.waitUntilDeleted(name, 5000 * slowness);
    longestMs = Math.max(longestMs, performance.now() - startMs);
  }
  return longestMs;
}

export const accountingOutage: Case = {
  title:
    "cgroups are deleted while the database is stopped, and booked once despite SIGKILL and reboot",
  async run({ slowness, note }) {
    await startPostgres(slowness);
    createDatabase();
    sh(`setpriv --reuid cm4all-spawn-reaper --clear-groups -- \\
        psql -q -d accounting -c 'CREATE TABLE booked (path text, cpu double precision)'`);
    writeFileSync(SCRIPT, PLAIN);
    sh(`systemctl restart ${SERVICE}`);
    const scope = await Scope.start(slowness);
    try {
      scope.run("before", "true");
      const before = "SELECT path FROM booked";
      await waitFor("a row", 30_000 * slowness, () => query(before).length === 1);
      stopPostgres();
      // The server must not start by itself at the next boot.
      sh("systemctl disable postgresql.service");

      let longestMs = 0;
      for (let round = 0; round < ROUNDS; round++) {
        longestMs = Math.max(longestMs, await useNames(scope, slowness));
        if (round !== 1) continue;
        const pid = mainPid();
        sh(`kill -9 ${pid}`);
        await waitFor("the next daemon", 30_000 * slowness, () => {
          const next = mainPid();
          return next !== 0 && next !== pid && isActive(SERVICE);
        });
      }
      note(`cgroups gone after ${(longestMs / 1000).toFixed(1)} s at most`);
      await waitFor("all records", 10_000 * slowness, () => ofOurs().length === COUNT);
      assert.match(sh("cm4all-spawn accounting list"), /bp-spawn\.scope\/outage-a/);
      assert.ok(listRecords().every(({ state }) => state !== "parked"));
    } finally {
      scope.stop();
    }
    sh(`systemctl stop ${SERVICE}`);
    assert.equal(ofOurs().length, COUNT, "in the files, while no daemon is running");
    sh(`systemctl start ${SERVICE}`);
  },
  async afterReboot({ slowness, note }) {
    try {
      attempt("systemctl is-system-running --wait");
      const records = ofOurs();
      assert.equal(records.length, COUNT);
      assert.equal(new Set(records.map(({ number }) => number)).size, COUNT);
      await startPostgres(slowness);
      const startMs = performance.now();
      const sql = "SELECT path, count(*) FROM booked WHERE path LIKE '%outage%' GROUP BY path";
      const booked = () => query(sql).map(([path = "", count]) => [path.split("/").at(-1), count]);
      const expected = NAMES.map((name) => [name, String(ROUNDS)]);
      await waitFor("all records are booked", 330_000 * Math.sqrt(slowness), () => {
        const counts = booked();
        const sum = counts.reduce((all, [, count]) => all + Number(count), 0);
        return sum >= COUNT && listRecords().length === 0;
      });
      assert.deepEqual(booked().sort(), expected);
      note(`${COUNT} rows after ${((performance.now() - startMs) / 1000).toFixed(1)} s`);
      assert.equal(sh("cm4all-spawn accounting list"), "no records wait to be accounted");
    } finally {
      sh("systemctl enable postgresql.service");
      sh(`rm ${SCRIPT}; systemctl restart ${SERVICE}`);
      dropDatabase();
      stopPostgres();
    }
  },
};
