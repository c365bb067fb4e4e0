/** Debian's PostgreSQL, with the accounting database of the example. */
import { attempt, sh, waitFor } from "./shell.ts";
import { SERVICE } from "./systemd.ts";

const EXAMPLES = "/usr/share/doc/cm4all-spawn/examples/accounting";
const SCRIPT = "/etc/cm4all/spawn/accounting.lua";

export async function startPostgres(slowness: number): Promise<void> {
  sh("systemctl start postgresql.service");
  await waitFor(
    "PostgreSQL answers",
    30_000 * slowness,
    () => attempt("runuser -u postgres -- psql -c 'SELECT 1'").status === 0,
  );
}

export function stopPostgres(): void {
  sh("systemctl stop 'postgresql@*.service' postgresql.service");
}

/** The database `accounting`, owned by the user that scripts run as. */
export function createDatabase(): void {
  sh("runuser -u postgres -- createuser cm4all-spawn-reaper");
  sh("runuser -u postgres -- createdb -O cm4all-spawn-reaper accounting");
}

export function dropDatabase(): void {
  sh("runuser -u postgres -- dropdb --force accounting");
  sh("runuser -u postgres -- dropuser cm4all-spawn-reaper");
}

/** The example's database and its script. */
export function installExample(): void {
  createDatabase();
  sh(`setpriv --reuid cm4all-spawn-reaper --clear-groups -- \\
      psql -q -d accounting -f ${EXAMPLES}/postgres.sql`);
  sh(`cp ${EXAMPLES}/postgres.lua ${SCRIPT}; systemctl restart ${SERVICE}`);
}

export function removeExample(): void {
  sh(`rm ${SCRIPT}; systemctl restart ${SERVICE}`);
  dropDatabase();
}

/** The database of many hosts with its script; the caller restarts the service, and calls `removeFleet`. */
export function installFleet(): void {
  sh("runuser -u postgres -- createdb accounting");
  sh(`runuser -u postgres -- psql -q -d accounting -f ${EXAMPLES}/fleet.sql`);
  sh("runuser -u postgres -- createuser -g fleet_reader nobody");
  sh(`cp ${EXAMPLES}/fleet.lua ${SCRIPT}`);
}

export function removeFleet(): void {
  sh(`rm ${SCRIPT}; systemctl restart ${SERVICE}`);
  forgetDatabase();
}

/** Takes the database away with all roles of the examples, also if some are not there. */
export function forgetDatabase(): void {
  attempt("runuser -u postgres -- dropdb --if-exists --force accounting");
  const roles = [
    "nobody",
    "cm4all-spawn-reaper",
    "fleet-daily",
    "fleet_every_host",
    "fleet_host",
    "fleet_reader",
    "fleet_owner",
  ];
  for (const role of roles) attempt(`runuser -u postgres -- dropuser --if-exists ${role}`);
}

/** Rows of a query, each with its columns. */
export function query(sql: string): string[][] {
  const out = sh(`runuser -u postgres -- psql -At -F '|' -d accounting -c "${sql}"`);
  return out === "" ? [] : out.split("\n").map((line) => line.split("|"));
}
