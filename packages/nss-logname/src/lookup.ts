/** Looks entries up with getent(1), which asks the C library as every other program does. */
import { spawnSync } from "node:child_process";
import type { Database } from "./nsswitch.ts";

/**
 * Returns the entry in the form of /etc/passwd or /etc/group; undefined if no service has it.
 * @param service the only service to ask; undefined for those in nsswitch.conf
 * @throws Error if there is no getent, or if it fails
 */
export function lookUp(database: Database, key: number, service?: string): string | undefined {
  const options = service === undefined ? [] : ["-s", service];
  const { status, stdout, stderr, error } = spawnSync(
    "getent",
    [...options, database, String(key)],
    { encoding: "utf8" },
  );
  if (error !== undefined) throw error;
  if (status === 0) return stdout.trimEnd();
  // getent(1): "one or more supplied keys could not be found".
  if (status === 2) return undefined;
  throw new Error(`getent ended with status ${status}: ${stderr.trim()}`);
}
