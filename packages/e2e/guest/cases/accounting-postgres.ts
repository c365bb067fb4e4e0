import assert from "node:assert/strict";
import type { Case } from "../case.ts";
import {
  installExample,
  query,
  removeExample,
  startPostgres,
  stopPostgres,
} from "../tools/postgres.ts";
import { listRecords } from "../tools/records.ts";
import { Scope } from "../tools/scope.ts";
import { waitFor } from "../tools/shell.ts";

const COUNT = 20;

export const accountingPostgres: Case = {
  title: "the example writes rows to PostgreSQL, and none is lost while PostgreSQL is stopped",
  async run({ slowness, hasControllers, note }) {
    await startPostgres(slowness);
    installExample();
    const scope = await Scope.start(slowness);
    try {
      scope.run(
        "first",
        "dd if=/dev/zero of=/var/tmp/e2e bs=1M count=4 oflag=dsync; rm /var/tmp/e2e",
      );
      await waitFor(
        "a row",
        30_000 * slowness,
        () => query("SELECT * FROM cgroup_usage").length > 0,
      );
      const [row] = query(`SELECT path, cpu_seconds, memory_peak_bytes, pids_peak, io_write_bytes
        FROM cgroup_usage`);
      assert.match(row?.[0] ?? "", /bp-spawn\.scope\/first$/);
      assert.ok(Number(row?.[1]) > 0);
      if (hasControllers) {
        assert.ok(Number(row?.[2]) > 100_000);
        assert.ok(Number(row?.[3]) >= 1);
        assert.ok(Number(row?.[4]) >= 4_000_000);
      }

      stopPostgres();
      for (let i = 0; i < COUNT; i++) scope.run(`while-down-${i}`, "true");
      for (let i = 0; i < COUNT; i++)
        await scope.waitUntilDeleted(`while-down-${i}`, 10_000 * slowness);
      assert.equal(listRecords().length, COUNT);
      await startPostgres(slowness);
      const startMs = performance.now();
      const sql = "SELECT path FROM cgroup_usage WHERE path LIKE '%while-down%'";
      await waitFor("all rows", 330_000 * Math.sqrt(slowness), () => query(sql).length === COUNT);
      note(`${COUNT} rows after ${((performance.now() - startMs) / 1000).toFixed(1)} s`);
      await waitFor("no record waits", 10_000 * slowness, () => listRecords().length === 0);
    } finally {
      scope.stop();
      removeExample();
      stopPostgres();
    }
  },
};
