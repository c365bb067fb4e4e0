/** Installs an accounting script for a case, with the limits of its unit, and reads its output. */
import { mkdirSync, writeFileSync } from "node:fs";
import { listRecords } from "./records.ts";
import { sh, waitFor } from "./shell.ts";
import { SERVICE, said, scriptUnits } from "./systemd.ts";

export const SCRIPT = "/etc/cm4all/spawn/accounting.lua";
const CONFIG = "/etc/cm4all/spawn/spawn.toml";
const SAVED_CONFIG = "/run/spawn.toml.e2e";
const DROP_INS = "/run/systemd/system/cm4all-spawn-accounting@.service.d";

/**
 * Installs a script. The caller starts the service, and later calls `removeScript`.
 * @param limits settings of the unit, `NAME=VALUE`
 */
export function putScript(text: string, limits: readonly string[]): void {
  writeFileSync(SCRIPT, text);
  sh(`cp ${CONFIG} ${SAVED_CONFIG}`);
  mkdirSync(DROP_INS, { recursive: true });
  writeFileSync(`${DROP_INS}/e2e.conf`, ["[Service]", ...limits, ""].join("\n"));
  sh("systemctl daemon-reload");
}

/**
 * Adds lines to `[accounting]` in the configuration, in place of those that the previous call has
 * added.
 */
export function configure(...lines: readonly string[]): void {
  const added = lines.map((line) => `\\n${line}`).join("");
  sh(`cp ${SAVED_CONFIG} ${CONFIG}; sed -i 's/^\\[accounting\\]$/&${added}/' ${CONFIG}`);
}

/** Restores the former state, and drops the records whose handlers were meant to fail. */
export function removeScript(): void {
  sh(`rm -r ${SCRIPT} ${DROP_INS}; cp ${SAVED_CONFIG} ${CONFIG}
      systemctl daemon-reload; systemctl restart ${SERVICE}`);
  for (const { number } of listRecords()) sh(`cm4all-spawn accounting drop ${number}`);
}

/** Waits until a unit other than `other` runs the script. Returns its name. */
export async function untilUnit(slowness: number, other?: string): Promise<string> {
  return waitFor("a unit has the script", 30_000 * slowness, () => {
    const [unit, ...others] = scriptUnits();
    return others.length === 0 && unit !== other && unit;
  });
}

/** Waits until the output of daemon and script since `cursor` matches `what`. */
export async function untilSaid(slowness: number, cursor: string, what: RegExp): Promise<void> {
  await waitFor(`${what}`, 30_000 * slowness, () => what.test(said(cursor)));
}
