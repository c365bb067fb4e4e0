/** Uses Debian's PostgreSQL, with the accounting databases of the examples. */
import { attempt, sh, waitFor } from "./shell.ts";
import { SERVICE } from "./systemd.ts";

const EXAMPLES = "/usr/share/doc/cm4all-spawn/examples/accounting";
const SCRIPT = "/etc/cm4all/spawn/accounting.lua";

/** Starts the server, and waits until it accepts connections. */
export async function startPostgres(slowness: number): Promise<void> {
  sh("systemctl start postgresql.service");
  await waitFor(
    "PostgreSQL answers",
    30_000 * slowness,
    () => attempt("runuser -u postgres -- psql -c 'SELECT 1'").status === 0,
  );
}

/** Stops the server. */
export function stopPostgres(): void {
  sh("systemctl stop 'postgresql@*.service' postgresql.service");
}

/** Creates the database `accounting`, owned by the user that scripts run as. */
export function createDatabase(): void {
  sh("runuser -u postgres -- createuser cm4all-spawn-reaper");
  sh("runuser -u postgres -- createdb -O cm4all-spawn-reaper accounting");
}

/** Drops the database and the role that `createDatabase` has created. */
export function dropDatabase(): void {
  sh("runuser -u postgres -- dropdb --force accounting");
  sh("runuser -u postgres -- dropuser cm4all-spawn-reaper");
}

/** Installs the example for a single host: its database and its script. */
export function installExample(): void {
  createDatabase();
  sh(`setpriv --reuid cm4all-spawn-reaper --clear-groups -- \\
      psql -q -d accounting -f ${EXAMPLES}/postgres.sql`);
  sh(`cp ${EXAMPLES}/postgres.lua ${SCRIPT}; systemctl restart ${SERVICE}`);
}

/** Removes what installExample has installed. */
export function removeExample(): void {
  sh(`rm ${SCRIPT}; systemctl restart ${SERVICE}`);
  dropDatabase();
}

/**
 * Installs the database for many hosts, with its script. The caller restarts the service, and
 * later calls `removeFleet`.
 */
export function installFleet(): void {
  sh("runuser -u postgres -- createdb accounting");
  sh(`runuser -u postgres -- psql -q -d accounting -f ${EXAMPLES}/fleet.sql`);
  sh("runuser -u postgres -- createuser -g fleet_reader nobody");
  sh(`cp ${EXAMPLES}/fleet.lua ${SCRIPT}`);
}

/** Removes what installFleet has installed. */
export function removeFleet(): void {
  sh(`rm ${SCRIPT}; systemctl restart ${SERVICE}`);
  forgetDatabase();
}

/** Drops the database and all roles of the examples, even if some do not exist. */
export function forgetDatabase(): void {
  attempt("runuser -u postgres -- dropdb --if-exists --force accounting");
  const roles = [
    "nobody",
    "cm4all-spawn-reaper",
    "fleet-daily",
    "web1",
    "fleet_every_host",
    "fleet_host",
    "fleet_reader",
    "fleet_owner",
  ];
  for (const role of roles) attempt(`runuser -u postgres -- dropuser --if-exists ${role}`);
}

/** Returns the rows of a query, each with its columns. */
export function query(sql: string): string[][] {
  const out = sh(`runuser -u postgres -- psql -At -F '|' -d accounting -c "${sql}"`);
  return out === "" ? [] : out.split("\n").map((line) => line.split("|"));
}
