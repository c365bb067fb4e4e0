/** Two servers, of which one is a standby that takes over. */
import { setTimeout as delay } from "node:timers/promises";
import { missing, Postgres } from "@cm4all/testing";
import { describe, expect, it } from "vitest";
import { openPg } from "../src/pg/library.ts";
import { TestScript } from "./script.ts";
import { execute, REPLICATION_HBA, ServerDirectory, startStandby } from "./standby.ts";

describe.skipIf(missing("postgres") !== undefined)("when a standby takes over,", () => {
  it("rows go to the new primary, and none that was acknowledged is lost", async () => {
    using servers = new ServerDirectory();
    await failOver(servers);
  }, 120_000);
});

async function failOver(servers: ServerDirectory): Promise<void> {
  const directory = servers.for("first");
  const hba = REPLICATION_HBA;
  await using primary = await Postgres.start({ directory, hba });
  await execute(primary, "CREATE SCHEMA s; CREATE TABLE s.t (n int)");
  await primary.pause();
  await using standby = await startStandby(primary, servers.for("second"));
  const settings = { synchronous_standby_names: "*", hot_standby: "on" };
  await using again = await Postgres.start({ directory, hba, settings });

  const conninfo = `host=${standby.host},${again.host} user=postgres dbname=postgres target_session_attrs=read-write`;
  using running = new TestScript(
    `db = pg:new([[${conninfo}]], 's')
     n = 0
     function cgroup_released()
       n = n + 1
       local ok, message = db:execute('INSERT INTO t VALUES ($1)', {n})
       print(ok and n or message)
     end`,
    { open: openPg },
  );
  const acknowledged: number[] = [];
  const messages: string[] = [];
  const write = async () => {
    const said = (await running.handle()).trimEnd();
    if (/^\d+$/.test(said)) acknowledged.push(Number(said));
    else messages.push(said);
  };
  while (acknowledged.length < 20) await write();
  expect(await execute(standby, "SELECT pg_is_in_recovery() AS stands_by")).toEqual([
    { stands_by: true },
  ]);

  await again.pause("immediate");
  await write();
  await execute(standby, "SELECT pg_promote()");
  const deadline = Date.now() + 60_000;
  while (acknowledged.length < 40) {
    if (Date.now() > deadline) throw new Error(`still no session: ${messages.at(-1)}`);
    await write();
    await delay(10);
  }
  expect(messages.length).toBeGreaterThan(0);
  const rows = await execute(standby, "SELECT n FROM s.t");
  const found = new Set(rows.map(({ n }) => n));
  expect(acknowledged.filter((n) => !found.has(n))).toEqual([]);
}
