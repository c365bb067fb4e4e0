/**
 * Tests the statements of docs/fleet.md about standbys: when a handler waits for them, and which
 * standby has everything.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { missing, Postgres } from "@cm4all/testing";
import { expect, it } from "vitest";
import { openPg } from "../src/pg/library.ts";
import { example } from "./examples.ts";
import { TestScript } from "./script.ts";
import { execute, REPLICATION_HBA, ServerDirectory, startStandby } from "./standby.ts";

const DOCUMENT = readFileSync(join(import.meta.dirname, "../../../docs/fleet.md"), "utf8");

/** The settings that the page shows as lines of postgresql.conf; some values have quotes. */
const SETTINGS = Object.fromEntries(
  [...DOCUMENT.matchAll(/^ {4}(synchronous_\w+) = '?(.*?)'?$/gm)].map(([, name, value]) => [
    name,
    value,
  ]),
);

/** The page's query for how much a standby has received. */
const [, RECEIVED = ""] = /^ {4}(SELECT greatest\(pg_last.*\));$/m.exec(DOCUMENT) ?? [];

it.skipIf(missing("postgres") !== undefined)(
  "one of two standbys may be down, and the other one has all that was acknowledged",
  async () => {
    using servers = new ServerDirectory();
    await accountWithStandbys(servers);
  },
  300_000,
);

async function accountWithStandbys(servers: ServerDirectory): Promise<void> {
  await using primary = await Postgres.start({
    directory: servers.for("primary"),
    hba: REPLICATION_HBA,
    settings: SETTINGS,
  });
  // Committed locally, because there is no standby yet.
  await execute(primary, `SET synchronous_commit = local; ${example("fleet.sql")}`);
  await primary.pause();
  const standBy = (name: string) => startStandby(primary, servers.for(name), { name });
  await using late = await standBy("standby1");
  await using other = await standBy("standby2");
  await primary.resume();

  using host = new TestScript(
    example("fleet.lua").replace('"dbname=accounting"', `[[${primary.conninfo}]]`),
    { open: openPg, handlerTimeoutMs: 5000 },
  );
  const report = (id: string) => host.outcome({ id, measuredMs: Date.now(), cpuTotalUsec: 1e6 });
  const untilAcknowledged = (id: string) =>
    expect.poll(() => report(id), { timeout: 60_000 }).toBeUndefined();
  await untilAcknowledged("both");
  await expect.poll(() => idsOf(late), { timeout: 60_000 }).toEqual(["both"]);
  await late.pause();
  await untilAcknowledged("one");
  await other.pause();
  // When the handler's time is up, the server stops waiting, and has the row only on its own
  // disk. The handler has failed, so the cgroup is reported again.
  expect(await report("none")).toMatchObject({ message: expect.stringContaining("5 s") });
  await other.resume();
  await untilAcknowledged("none");

  await primary.pause("immediate");
  await late.resume();
  const [less, more] = await Promise.all([late, other].map(received));
  expect(more).toBeGreaterThan(less ?? Number.NaN);
  await execute(other, "SELECT pg_promote()");
  expect(await idsOf(other)).toEqual(["both", "none", "one"]);
  expect(await idsOf(late)).toEqual(["both"]);
}

/** Returns how much a standby has received, in bytes since the beginning of the WAL. */
async function received(standby: Postgres): Promise<number> {
  const [row] = await execute(standby, `SELECT ((${RECEIVED}) - '0/0')::float8 AS bytes`);
  return Number(row?.["bytes"]);
}

async function idsOf(server: Postgres): Promise<unknown[]> {
  const rows = await execute(server, "SELECT id FROM fleet_usage ORDER BY id");
  return rows.map(({ id }) => id);
}
