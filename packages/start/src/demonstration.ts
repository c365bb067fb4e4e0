/**
 * Demonstrates the daemon's main job: cgroups become empty, and the script accounts them in the
 * database.
 */

import { chmodSync, copyFileSync, existsSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { alignColumns } from "@cm4all/command";
import { isOpenToOthers } from "@cm4all/testing/open";
import { CLIENT, DAEMON, DATA, SCRIPT, shown } from "./checkout.ts";
import { Daemon } from "./daemon.ts";
import { Database, type UsageRow } from "./database.ts";
import { formatCount, formatMebibytes, formatSeconds } from "./figures.ts";
import type { Instance } from "./instance.ts";
import { say } from "./output.ts";
import { SAMPLES } from "./sample.ts";
import type { Scope } from "./scope.ts";

const ROWS_TIMEOUT_MS = 30_000;

export interface DemonstrationOptions {
  readonly instance: Instance;
  readonly scope: Scope;
  /** The arguments of the daemon. */
  readonly args: readonly string[];
  /** The address of the daemon for clients; undefined for the default. */
  readonly listen: string | undefined;
  /** The daemon's control socket. */
  readonly control: string;
  /** Rejects when the program has to end. */
  readonly interrupted: Promise<never>;
}

/** Runs until the daemon has ended. @returns its exit status */
export async function demonstrate(options: DemonstrationOptions): Promise<number> {
  const { instance, scope, interrupted } = options;
  say(
    "",
    "The daemon's main job: a cgroup that becomes empty is measured and handed to a script in " +
      "Lua, which accounts it in a database; then it is deleted.",
    "",
  );
  await using database = await Database.start(join(instance.directory, "database"));
  say(`  database   ${database.title}`);
  const isOpen = isOpenToOthers(dirname(DAEMON));
  say(`  script     ${shown(SCRIPT)}`);
  if (!isOpen) say("             run as root, because no other user can read this checkout");
  say(`  cgroups    below ${scope.path}`);
  for (const line of scope.missing) say(`             without figures for ${line}`);
  say("");
  const config = writeConfig(instance, scope, isOpen ? {} : { user: "root" });
  const args = ["--config", config, ...options.args];
  const since = new Date();
  await using daemon = Daemon.start(args, database.environment);
  await Promise.race([interrupted, daemon.ended, show(database, since, options)]);
  return await Promise.race([interrupted, daemon.ended]);
}

/**
 * Writes the configuration.
 * @param accounting further keys of the table `[accounting]`
 * @returns its path
 */
function writeConfig(instance: Instance, scope: Scope, accounting: { user?: string }): string {
  // Copied, because the user that the script runs as might have no access to this checkout.
  const script = join(instance.directory, "accounting.lua");
  copyFileSync(SCRIPT, script);
  chmodSync(script, 0o644);
  const config = join(instance.directory, "spawn.toml");
  const text = {
    reaper: { cgroup_root: scope.mount, scopes: [scope.name] },
    // Records that wait for the database stay in the journal until the next start.
    accounting: { script, journal: join(DATA, "journal"), ...accounting },
  };
  writeFileSync(config, formatToml(text));
  return config;
}

/** Formats tables as TOML, which has the syntax of JSON for strings and lists of strings. */
function formatToml(tables: Record<string, Record<string, unknown>>): string {
  return Object.entries(tables)
    .map(([name, keys]) => {
      const lines = Object.entries(keys).map(([key, value]) => `${key} = ${JSON.stringify(value)}`);
      return [`[${name}]`, ...lines, ""].join("\n");
    })
    .join("\n");
}

/** Runs work in the scope, and prints the rows that the script has written. */
async function show(database: Database, since: Date, options: DemonstrationOptions): Promise<void> {
  const { scope } = options;
  await scope.untilWatched();
  say("", "The daemon has found an empty cgroup. Others have something to do now:");
  say(...SAMPLES.map(({ name, does }) => `  ${name.padEnd(8)} ${does}`), "");
  await Promise.all(SAMPLES.map(({ name, command }) => scope.run(name, command)));
  const rows = await waitForRows(database, scope, since);
  say("", "What the script has written into the database, table cgroup_usage:", "");
  say(...describeRows(rows, scope).map((line) => `  ${line}`));
  const earlier = (await database.countRows()) - rows.length;
  if (earlier > 0) say("", `  (and ${earlier} rows of earlier starts)`);
  say("", ...describeNext(database, options), "");
}

async function waitForRows(database: Database, scope: Scope, since: Date): Promise<UsageRow[]> {
  const endMs = performance.now() + ROWS_TIMEOUT_MS;
  for (;;) {
    const rows = await database.rowsSince(scope.name, since);
    const names = new Set(rows.map(({ path }) => path.slice(scope.name.length + 2)));
    if (SAMPLES.every(({ name }) => names.has(name))) return rows;
    if (performance.now() > endMs) {
      say("", "Not all of them have got a row in time; the daemon's lines may say why.");
      return rows;
    }
    await delay(50);
  }
}

function describeRows(rows: readonly UsageRow[], scope: Scope): string[] {
  const titles = ["cgroup", "existed for", "CPU time", "memory peak", "processes", "written"];
  const cells = rows.map((row) => [
    row.path.slice(scope.name.length + 2),
    formatSeconds(row.age_seconds),
    formatSeconds(row.cpu_seconds),
    formatMebibytes(row.memory_peak_bytes),
    formatCount(row.pids_peak),
    formatMebibytes(row.io_write_bytes),
  ]);
  return alignColumns([titles, ...cells], ["left", "right"]);
}

/** Describes what a person may do while the daemon is running. */
function describeNext(
  database: Database,
  { scope, listen, control }: DemonstrationOptions,
): string[] {
  const here = (path: string) => `node ${shown(path)}`;
  const socket = listen === undefined ? "" : ` --socket ${listen}`;
  return [
    "The daemon runs until Ctrl-C. Meanwhile, in another terminal, as root:",
    "",
    `  ${here(DAEMON)} --control ${control} status --watch`,
    `  ${here(DAEMON)} --control ${control} accounting list`,
    `  ${here(CLIENT)}${socket} run foo --ipc --pid -- sh -c 'ps ax; ipcs'`,
    // The server of the npm package comes without psql.
    ...(existsSync("/usr/bin/psql")
      ? [`  psql ${database.psqlArguments} -c 'TABLE cgroup_usage'`]
      : []),
    `  mkdir ${scope.path}/mine`,
    `  sh -c 'echo $$ > ${scope.path}/mine/cgroup.procs; exec sleep 1'`,
  ];
}
