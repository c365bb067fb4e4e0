/** Two servers, of which one is a standby that takes over. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { missing, Postgres } from "@cm4all/testing";
import { Client } from "pg";
import { describe, expect, it } from "vitest";
import { openPg } from "../src/pg/library.ts";
import { TestScript } from "./script.ts";

describe.skipIf(missing("postgres") !== undefined)("when a standby takes over,", () => {
  it("rows go to the new primary, and none that was acknowledged is lost", async () => {
    const directory = mkdtempSync(join(tmpdir(), "pg-failover-"));
    try {
      await failOver(join(directory, "first"), join(directory, "second"));
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  }, 120_000);
});

async function failOver(first: string, second: string): Promise<void> {
  const settings = { synchronous_standby_names: "*", hot_standby: "on" };
  const hba = ["local all all trust", "local replication all trust"];
  await using primary = await Postgres.start({ directory: first, hba });
  await query(primary, "CREATE SCHEMA s; CREATE TABLE s.t (n int)");
  await primary.pause();
  execFileSync("cp", ["-a", first, second]);
  const data = join(second, `data-${primary.programs.major}`);
  writeFileSync(join(data, "standby.signal"), "");
  await using standby = await Postgres.start({
    directory: second,
    hba,
    settings: { primary_conninfo: `host=${first} user=postgres` },
  });
  await using again = await Postgres.start({ directory: first, hba, settings });

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
  expect(await value(standby, "SELECT pg_is_in_recovery()")).toBe(true);

  await again.pause("immediate");
  await write();
  await query(standby, "SELECT pg_promote()");
  const deadline = Date.now() + 60_000;
  while (acknowledged.length < 40) {
    if (Date.now() > deadline) throw new Error(`no session again: ${messages.at(-1)}`);
    await write();
    await delay(10);
  }
  expect(messages.length).toBeGreaterThan(0);
  const client = await connected(standby);
  const { rows } = await client.query("SELECT n FROM s.t");
  await client.end();
  const found = new Set(rows.map(({ n }) => n));
  expect(acknowledged.filter((n) => !found.has(n))).toEqual([]);
}

async function connected({ host, port, user }: Postgres): Promise<Client> {
  const client = new Client({ host, port, user, database: "postgres" });
  await client.connect();
  return client;
}

async function query(server: Postgres, sql: string): Promise<void> {
  const client = await connected(server);
  await client.query(sql);
  await client.end();
}

async function value(server: Postgres, sql: string): Promise<unknown> {
  const client = await connected(server);
  const { rows } = await client.query({ text: sql, rowMode: "array" });
  await client.end();
  return rows[0]?.[0];
}
