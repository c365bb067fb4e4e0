/** Lookups by getent(1), which asks the C library as every other program does. */
import { spawnSync } from "node:child_process";
import type { Database } from "./nsswitch.ts";

/**
 * The entry as it would stand in /etc/passwd or /etc/group, or undefined where
 * nobody knows the key.
 * @param service asks only this service, whatever nsswitch.conf says
 * @throws Error where there is no getent, or it fails
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
