/**
 * The section `[accounting]`: each key with its limits, its default and what it means. The
 * types follow from it.
 */
import type { TomlTable } from "@cm4all/command/toml";
import { errorText } from "@cm4all/linux";
import { DEFAULT_USER, type FindUser, type SystemUser } from "../accounting/terms/user.ts";
import { readAbsolutePath, readSeconds } from "./values.ts";

/** How handlers are called. */
export type AccountingPolicy = ReturnType<typeof readPolicy>;

/** Only a restart applies a change of the directory. */
export type JournalConfig = ReturnType<typeof readJournal>;

export type AccountingConfig = ReturnType<typeof readAccounting> & {
  /** Where systemd starts script hosts: the unit knows it, and says so on the command line. If it is missing they are child processes. */
  readonly hostSocket?: string | undefined;
};

/** @param find looks up the user that the script runs as */
export function readAccounting(table: TomlTable, find: FindUser) {
  return {
    journal: readJournal(table),
    policy: readPolicy(table),
    /** How often what still runs is measured for the script; 0: never. */
    interimMs: readInterim(table),
    /** Undefined: accounting.lua or reaper.lua in the configuration's directory. */
    script: readScript(table),
    /** Whom the script runs as; undefined: as the daemon, because nobody is named and there is no default user. */
    user: readUser(table, find),
    /** Whether the configuration names that user. */
    isUserNamed: table.string("user") !== undefined,
    /** How long a handler may take. Most of it is waiting. */
    handlerTimeoutMs: readSeconds(table, "handler_seconds", 1, 86_400) ?? 60_000,
    /** A script host that gives no sign of life for so long is replaced. */
    answerTimeoutMs: readSeconds(table, "answer_seconds", 1, 3600) ?? 10_000,
    /** How many instructions a handler may run between two waits. */
    instructions: table.integer("instructions", { min: 1000, max: 2 ** 31 - 1 }) ?? 50_000_000,
    /** The script's heap. */
    memoryMiB: table.integer("memory_mib", { min: 16, max: 65_536 }) ?? 128,
    /** How long running handlers are waited for when the daemon stops. */
    stopGraceMs: readSeconds(table, "stop_seconds", 0, 60) ?? 500,
  } as const;
}

function readJournal(table: TomlTable) {
  return {
    /** Where the records of cgroups are kept until they are accounted. */
    directory: readAbsolutePath(table, "journal") ?? "/var/lib/cm4all-spawn",
    /** How much they may take there. */
    limitBytes: (table.integer("journal_mib", { min: 16, max: 65_536 }) ?? 1024) * 2 ** 20,
  } as const;
}

function readPolicy(table: TomlTable) {
  return {
    /** Whether a failed handler is called again. */
    retry: table.boolean("retry") ?? true,
    /** How long the handler of a cgroup may fail, while others succeed, until it is parked. */
    maxAgeMs: readSeconds(table, "give_up_seconds", 1, 31_536_000) ?? 3_600_000,
    /** How many cgroups whose handler has failed may wait; the oldest is parked for a new one. */
    maxWaiting: table.integer("max_waiting", { min: 1, max: 1_000_000 }) ?? 10_000,
    /** How many handlers may run, that is: mostly wait, at the same time. */
    maxRunning: table.integer("max_running", { min: 1, max: 10_000 }) ?? 64,
    /** How many cgroups are handed to a handler of lists at once, at most. */
    batch: table.integer("batch", { min: 1, max: 10_000 }) ?? 100,
  } as const;
}

/** @returns milliseconds; 0: never */
function readInterim(table: TomlTable): number {
  const seconds = table.number("interim_seconds", { min: 0, max: 86_400 }) ?? 0;
  if (seconds > 0 && seconds < 1)
    throw table.error("interim_seconds", `${seconds} is too small: at least 1, or 0 for never`);
  return seconds * 1000;
}

function readScript(table: TomlTable): string | undefined {
  // Empty for the default, as the packaged file shows it.
  return table.string("script") === "" ? undefined : readAbsolutePath(table, "script");
}

/** A user that is named has to exist: otherwise a typing error would make the script root's. */
function readUser(table: TomlTable, find: FindUser): SystemUser | undefined {
  const name = table.string("user");
  try {
    const user = find(name ?? DEFAULT_USER);
    if (user !== undefined || name === undefined) return user;
  } catch (error) {
    throw table.error("user", errorText(error));
  }
  throw table.error("user", `there is no user ${JSON.stringify(name)} in /etc/passwd`);
}
