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

/** The journal's directory and size. Only a restart applies a change of the directory. */
export type JournalConfig = ReturnType<typeof readJournal>;

export type AccountingConfig = ReturnType<typeof readAccounting> & {
  /**
   * The socket where systemd starts script hosts. The unit names it on the command line; if it is
   * undefined, script hosts are child processes.
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
     * The interval at which running cgroups are measured for the script, milliseconds; 0: never.
     */
    interimMs: readInterim(table),
    /** The script; undefined: accounting.lua or reaper.lua in the configuration's directory. */
    script: readScript(table),
    /**
     * The user that the script runs as; undefined: the user of the daemon, because the
     * configuration names none and the default user does not exist.
     */
    user: readUser(table, find),
    /** True if the configuration names that user. */
    isUserNamed: table.string("user") !== undefined,
    /** The time limit of a handler, including the time that it waits, milliseconds. */
    handlerTimeoutMs: readSeconds(table, "handler_seconds", 1, 86_400) ?? 60_000,
    /** A script host that gives no sign of life for this time is replaced. */
    answerTimeoutMs: readSeconds(table, "answer_seconds", 1, 3600) ?? 10_000,
    /** The number of instructions that a handler may run between two waits. */
    instructions: table.integer("instructions", { min: 1000, max: 2 ** 31 - 1 }) ?? 50_000_000,
    /** The limit of the script's heap. */
    memoryMiB: table.integer("memory_mib", { min: 16, max: 65_536 }) ?? 128,
    /** How long the daemon waits for running handlers when it stops. */
    stopGraceMs: readSeconds(table, "stop_seconds", 0, 60) ?? 500,
  } as const;
}

function readJournal(table: TomlTable) {
  return {
    /** The directory in which records of cgroups are kept until they are accounted. */
    directory: readAbsolutePath(table, "journal") ?? "/var/lib/cm4all-spawn",
    /** The limit for the size of the journal there. */
    limitBytes: (table.integer("journal_mib", { min: 16, max: 65_536 }) ?? 1024) * 2 ** 20,
  } as const;
}

function readPolicy(table: TomlTable) {
  return {
    /** True if a failed handler is called again. */
    retry: table.boolean("retry") ?? true,
    /**
     * How long the handler of a cgroup may fail, while others succeed, before the cgroup is
     * parked.
     */
    maxAgeMs: readSeconds(table, "give_up_seconds", 1, 31_536_000) ?? 3_600_000,
    /**
     * The number of cgroups that may wait after their handler has failed; if another one fails,
     * the one that failed first is parked.
     */
    maxWaiting: table.integer("max_waiting", { min: 1, max: 1_000_000 }) ?? 10_000,
    /** The number of handlers that may run at the same time; most of that time they wait. */
    maxRunning: table.integer("max_running", { min: 1, max: 10_000 }) ?? 64,
    /** The maximum number of cgroups that a handler of lists gets at once. */
    batch: table.integer("batch", { min: 1, max: 10_000 }) ?? 100,
  } as const;
}

/** Reads the interval. @returns milliseconds; 0: never */
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
