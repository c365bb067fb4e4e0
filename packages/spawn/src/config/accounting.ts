/**
 * The section `[accounting]`: each key with its limits, its default and its meaning. The types are
 * derived from the functions that read the section.
 */
import type { TomlTable } from "@cm4all/command/toml";
import { errorText } from "@cm4all/linux";
import { DEFAULT_USER, type FindUser, type SystemUser } from "../accounting/terms/user.ts";
import { readAbsolutePath, readSeconds } from "./values.ts";

/** The rules by which handlers are called. */
export type AccountingPolicy = ReturnType<typeof readPolicy>;

/** The journal's directory and maximum size. Only a restart applies a change of the directory. */
export type JournalConfig = ReturnType<typeof readJournal>;

export type AccountingConfig = ReturnType<typeof readAccounting> & {
  /**
   * The path of the socket on which systemd starts a script host for each connection; the daemon's
   * unit passes it on the command line. If it is undefined, script hosts are child processes of the
   * daemon.
   */
  readonly hostSocket?: string | undefined;
};

/**
 * Reads the section `[accounting]`.
 * @param find looks up the user that the script runs as
 * @throws ConfigError
 */
export function readAccounting(table: TomlTable, find: FindUser) {
  return {
    journal: readJournal(table),
    policy: readPolicy(table),
    /**
     * The interval at which running cgroups are measured for the script, in milliseconds; 0 for
     * never.
     */
    interimMs: readInterim(table),
    /** The path of the script; undefined for reaper.lua or accounting.lua in /etc/cm4all/spawn. */
    script: readScript(table),
    /**
     * The user that the script runs as; undefined if the configuration names no user and the
     * default user does not exist: the script then runs as the user of the daemon.
     */
    user: readUser(table, find),
    /** True if the configuration names the user. */
    isUserNamed: table.string("user") !== undefined,
    /** The time limit of a handler, in milliseconds, including the time that it waits. */
    handlerTimeoutMs: readSeconds(table, "handler_seconds", 1, 86_400) ?? 60_000,
    /** A script host that does not respond for this long is replaced. */
    answerTimeoutMs: readSeconds(table, "answer_seconds", 1, 3600) ?? 10_000,
    /** The number of Lua instructions that a handler may run without waiting. */
    instructions: table.integer("instructions", { min: 1000, max: 2 ** 31 - 1 }) ?? 50_000_000,
    /** The maximum size of the script's heap. */
    memoryMiB: table.integer("memory_mib", { min: 16, max: 65_536 }) ?? 128,
    /** How long the daemon waits for running handlers when it stops. */
    stopGraceMs: readSeconds(table, "stop_seconds", 0, 60) ?? 500,
  } as const;
}

function readJournal(table: TomlTable) {
  return {
    /** The directory in which records of cgroups are kept until they are accounted. */
    directory: readAbsolutePath(table, "journal") ?? "/var/lib/cm4all-spawn",
    /** The maximum size of the journal. */
    limitBytes: (table.integer("journal_mib", { min: 16, max: 65_536 }) ?? 1024) * 2 ** 20,
  } as const;
}

function readPolicy(table: TomlTable) {
  return {
    /** True if a failed handler is called again. */
    retry: table.boolean("retry") ?? true,
    /**
     * How long the handler of a record may keep failing, while other handlers succeed, before the
     * record is parked.
     */
    maxAgeMs: readSeconds(table, "give_up_seconds", 1, 31_536_000) ?? 3_600_000,
    /**
     * The number of records that may wait after their handlers have failed. If there are more, the
     * record whose handler failed first is parked.
     */
    maxWaiting: table.integer("max_waiting", { min: 1, max: 1_000_000 }) ?? 10_000,
    /**
     * The number of handlers that may run at the same time, including those that wait, for example
     * for the database.
     */
    maxRunning: table.integer("max_running", { min: 1, max: 10_000 }) ?? 64,
    /** The maximum number of cgroups in one call of the handler `cgroups_released`. */
    batch: table.integer("batch", { min: 1, max: 10_000 }) ?? 100,
  } as const;
}

/** Reads the interval of measuring. @returns milliseconds; 0 for never */
function readInterim(table: TomlTable): number {
  const seconds = table.number("interim_seconds", { min: 0, max: 86_400 }) ?? 0;
  if (seconds > 0 && seconds < 1)
    throw table.error("interim_seconds", `${seconds} is too small: at least 1, or 0 for never`);
  return seconds * 1000;
}

function readScript(table: TomlTable): string | undefined {
  // The packaged file shows the default as an empty string.
  return table.string("script") === "" ? undefined : readAbsolutePath(table, "script");
}

/**
 * Reads the user. A user that is named has to exist: otherwise a typing error in the name would
 * make the script run as root.
 */
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
