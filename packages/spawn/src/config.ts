/** The daemon's configuration: spawn.toml, its defaults and its limits. */
import { isDeepStrictEqual } from "node:util";
import { CommandFailure, EX_CONFIG, EX_NOINPUT } from "@cm4all/command";
import { MAX_TEXT_FILE, readRegularFile } from "@cm4all/command/regular-file";
import { ConfigError, parseToml, type TomlTable } from "@cm4all/command/toml";
import { type ByteString, bytesOfText, encodeUnixAddress, errorText, isErrno } from "@cm4all/linux";
import type { AccountingPolicy } from "./accounting/terms/policy.ts";
import {
  DEFAULT_USER,
  type FindUser,
  findGroup,
  findUser,
  type SystemUser,
} from "./accounting/terms/user.ts";
import { parseListenAddress } from "./prometheus/address.ts";
import { CgroupRootError, checkCgroupRoot } from "./reaper/open-root.ts";
import { DEFAULT_SCOPES, parseScope, ScopeError } from "./reaper/scopes.ts";

export const DEFAULT_CONFIG_FILE = "/etc/cm4all/spawn/spawn.toml";

export const DEFAULT_CONTROL_SOCKET = "/run/cm4all-spawn/control.sock";

export interface NamespacesConfig {
  /** Where clients connect unless the service manager passes a socket. */
  readonly listen: string;
  /** From a name's last use to its end. */
  readonly lifetimeMs: number;
  readonly maxNames: number;
  /** How many of these one uid may have made. */
  readonly maxNamesPerUid: number;
  readonly maxUserNamespaces: number;
  readonly maxUserNamespacesPerName: number;
  readonly maxConnections: number;
  readonly maxConnectionsPerUid: number;
  readonly allowUids: readonly number[];
  readonly allowGids: readonly number[];
}

export interface ControlConfig {
  /** The socket of `cm4all-spawn status` and others; empty for none. */
  readonly socket: string;
}

export interface MetricsConfig {
  /** Where Prometheus asks: HOST:PORT, or a path; empty for nowhere. */
  readonly listen: string;
}

export interface ReaperConfig {
  /** Whether cgroups are reaped at all. */
  readonly enabled: boolean;
  /** Where cgroup2 is mounted; undefined: to be found. */
  readonly cgroupRoot: ByteString | undefined;
  /** See reaper/scopes.ts. */
  readonly scopes: readonly string[];
  /** From the moment when a cgroup ran empty until it is measured and deleted. */
  readonly deletionDelayMs: number;
  readonly checkIntervalMs: number;
  /** How long a parent waits for children that were never used. */
  readonly unusedMs: number;
}

export interface JournalConfig {
  /** Where the records of cgroups are kept until they are accounted. */
  readonly directory: string;
  /** How much they may take there. */
  readonly limitBytes: number;
}

export interface AccountingConfig {
  /** Only a restart applies a change of it. */
  readonly journal: JournalConfig;
  readonly policy: AccountingPolicy;
  /** How often what still runs is measured for the script; 0: never. */
  readonly interimMs: number;
  /** Undefined: accounting.lua or reaper.lua in the configuration's directory. */
  readonly script: string | undefined;
  /** Whom the script runs as; undefined: as the daemon, because nobody is named and there is no default user. */
  readonly user: SystemUser | undefined;
  /** Whether the configuration names that user. */
  readonly isUserNamed: boolean;
  /** Where systemd starts script hosts; undefined: they are child processes. */
  readonly hostSocket: string | undefined;
  /** How long a handler may take, most of which it waits. */
  readonly handlerTimeoutMs: number;
  /** A script host that gives no sign of life for so long is replaced. */
  readonly answerTimeoutMs: number;
  /** How many instructions a handler may run between two waits. */
  readonly instructions: number;
  /** The script's heap. */
  readonly memoryMiB: number;
  /** How long running handlers are waited for when the daemon stops. */
  readonly stopGraceMs: number;
}

export interface Config {
  readonly namespaces: NamespacesConfig;
  readonly metrics: MetricsConfig;
  readonly reaper: ReaperConfig;
  readonly accounting: AccountingConfig;
  readonly control: ControlConfig;
}

/** The keys that only a restart applies, and where their values are. */
const RESTART_KEYS: readonly (readonly [key: string, value: (config: Config) => unknown])[] = [
  ["namespaces.listen", ({ namespaces }) => namespaces.listen],
  ["reaper.enabled", ({ reaper }) => reaper.enabled],
  ["reaper.cgroup_root", ({ reaper }) => reaper.cgroupRoot],
  ["reaper.scopes", ({ reaper }) => reaper.scopes],
  ["reaper.delete_seconds", ({ reaper }) => reaper.deletionDelayMs],
  ["reaper.check_seconds", ({ reaper }) => reaper.checkIntervalMs],
  ["reaper.unused_seconds", ({ reaper }) => reaper.unusedMs],
  ["accounting.journal", ({ accounting }) => accounting.journal.directory],
  ["control.socket", ({ control }) => control.socket],
];

/**
 * Returns the keys that a reload does not apply although they differ. Pure.
 * @param running the configuration with which the daemon was started
 */
export function keysForRestart(running: Config, next: Config): string[] {
  return RESTART_KEYS.filter(([, select]) => !isDeepStrictEqual(select(running), select(next))).map(
    ([key]) => key,
  );
}

const MAX_ID = 0xfffffffe;

/**
 * Pure if `find` and `checkRoot` are.
 * @param find looks up the user that the script runs as
 * @param checkRoot throws CgroupRootError for a directory that is not in cgroup2
 * @throws ConfigError for an unknown key, a wrong type or a bad value
 */
export function parseConfig(
  text: string,
  file: string,
  find: FindUser,
  checkRoot: (path: ByteString) => void = () => undefined,
): Config {
  const root = parseToml(text, file);
  const config = {
    namespaces: readNamespaces(root.table("namespaces") ?? emptyTable(file), find),
    metrics: readMetrics(root.table("metrics") ?? emptyTable(file)),
    reaper: readReaper(root.table("reaper") ?? emptyTable(file), checkRoot),
    accounting: readAccounting(root.table("accounting") ?? emptyTable(file), find),
    control: readControl(root.table("control") ?? emptyTable(file)),
  };
  root.finish();
  return config;
}

function emptyTable(file: string): TomlTable {
  return parseToml("", file);
}

function readNamespaces(table: TomlTable, find: FindUser): NamespacesConfig {
  const range = { min: 1, max: 10_000 };
  const maxNames = table.integer("max_names", range) ?? 10_000;
  // Few uids make all names, so one may have nearly all; the rest is for the others.
  const usualPerUid = maxNames - Math.floor(maxNames / 10);
  const config: NamespacesConfig = {
    listen: readAddress(table, "listen") ?? "@cm4all-spawn",
    lifetimeMs: (table.number("expire_seconds", { min: 0.1, max: 31_536_000 }) ?? 60) * 1000,
    maxNames,
    maxNamesPerUid: table.integer("max_names_per_uid", range) ?? usualPerUid,
    maxUserNamespaces: table.integer("max_user_namespaces", range) ?? 10_000,
    maxUserNamespacesPerName: table.integer("max_user_namespaces_per_name", range) ?? 10_000,
    maxConnections: table.integer("max_connections", range) ?? 4096,
    maxConnectionsPerUid: table.integer("max_connections_per_uid", range) ?? 1024,
    allowUids: readIds(table, "allow_uids", "user", (name) => find(name)?.uid),
    allowGids: readIds(table, "allow_gids", "group", findGroup),
  };
  table.finish();
  return config;
}

/** Reads ids, and names that `find` knows the ids of. */
function readIds(
  table: TomlTable,
  key: string,
  kind: "user" | "group",
  find: (name: string) => number | undefined,
): number[] {
  const ids = table.integersOrStrings(key, { min: 0, max: MAX_ID }) ?? [];
  return ids.map(({ value, line }) => {
    if (typeof value === "number") return value;
    const id = find(value);
    if (id !== undefined) return id;
    const file = kind === "user" ? "/etc/passwd" : "/etc/group";
    const text = `${table.path}.${key}: there is no ${kind} ${JSON.stringify(value)} in ${file}`;
    throw new ConfigError(table.file, line, text);
  });
}

function readAddress(table: TomlTable, key: string): string | undefined {
  const address = table.string(key);
  if (address === undefined) return undefined;
  if (!address.startsWith("@") && !address.startsWith("/"))
    throw table.error(key, "expected an absolute path, or @NAME for an abstract socket");
  try {
    encodeUnixAddress(address);
  } catch (error) {
    throw table.error(key, errorText(error));
  }
  return address;
}

function readMetrics(table: TomlTable): MetricsConfig {
  const address = table.string("listen") ?? "";
  if (address !== "" && parseListenAddress(address) === undefined)
    throw table.error("listen", "expected HOST:PORT, [IPV6]:PORT or an absolute path");
  table.finish();
  return { listen: address };
}

function readReaper(table: TomlTable, checkRoot: (path: ByteString) => void): ReaperConfig {
  const config: ReaperConfig = {
    enabled: table.boolean("enabled") ?? true,
    cgroupRoot: readCgroupRoot(table, checkRoot),
    scopes: [
      ...(readScopes(table, "scopes") ?? DEFAULT_SCOPES),
      ...(readScopes(table, "extra_scopes") ?? []),
    ],
    deletionDelayMs: readSeconds(table, "delete_seconds", 0, 3600) ?? 50,
    checkIntervalMs: readSeconds(table, "check_seconds", 1, 86_400) ?? 300_000,
    unusedMs: readSeconds(table, "unused_seconds", 0.1, 3600) ?? 10_000,
  };
  table.finish();
  return config;
}

function readCgroupRoot(
  table: TomlTable,
  checkRoot: (path: ByteString) => void,
): ByteString | undefined {
  const text = table.string("cgroup_root") ?? "";
  if (text === "") return undefined;
  if (!text.startsWith("/")) throw table.error("cgroup_root", "expected an absolute path");
  const path = bytesOfText(text);
  try {
    checkRoot(path);
    return path;
  } catch (error) {
    if (error instanceof CgroupRootError) throw table.error("cgroup_root", error.message);
    throw error;
  }
}

function readScopes(table: TomlTable, key: string): string[] | undefined {
  return table.strings(key)?.map(({ value, line }) => {
    try {
      parseScope(value);
      return value;
    } catch (error) {
      if (error instanceof ScopeError)
        throw new ConfigError(table.file, line, `${table.path}.${key}: ${error.message}`);
      throw error;
    }
  });
}

function readAccounting(table: TomlTable, find: FindUser): AccountingConfig {
  const config: AccountingConfig = {
    journal: {
      directory: readAbsolutePath(table, "journal") ?? "/var/lib/cm4all-spawn",
      limitBytes: (table.integer("journal_mib", { min: 16, max: 65_536 }) ?? 1024) * 2 ** 20,
    },
    policy: {
      retry: table.boolean("retry") ?? true,
      maxAgeMs: readSeconds(table, "give_up_seconds", 1, 31_536_000) ?? 3_600_000,
      maxWaiting: table.integer("max_waiting", { min: 1, max: 1_000_000 }) ?? 10_000,
      maxRunning: table.integer("max_running", { min: 1, max: 10_000 }) ?? 64,
      batch: table.integer("batch", { min: 1, max: 10_000 }) ?? 100,
    },
    interimMs: readInterim(table),
    script: readScript(table),
    isUserNamed: table.string("user") !== undefined,
    user: readUser(table, find),
    // The unit knows it, and says so on the command line.
    hostSocket: undefined,
    handlerTimeoutMs: readSeconds(table, "handler_seconds", 1, 86_400) ?? 60_000,
    answerTimeoutMs: readSeconds(table, "answer_seconds", 1, 3600) ?? 10_000,
    instructions: table.integer("instructions", { min: 1000, max: 2 ** 31 - 1 }) ?? 50_000_000,
    memoryMiB: table.integer("memory_mib", { min: 16, max: 65_536 }) ?? 128,
    stopGraceMs: readSeconds(table, "stop_seconds", 0, 60) ?? 500,
  };
  table.finish();
  return config;
}

function readAbsolutePath(table: TomlTable, key: string): string | undefined {
  const path = table.string(key);
  if (path === undefined || path.startsWith("/")) return path;
  throw table.error(key, "expected an absolute path");
}

function readScript(table: TomlTable): string | undefined {
  // Empty for the default, as the packaged file shows it.
  return table.string("script") === "" ? undefined : readAbsolutePath(table, "script");
}

/** @returns milliseconds; 0: never */
function readInterim(table: TomlTable): number {
  const seconds = table.number("interim_seconds", { min: 0, max: 86_400 }) ?? 0;
  if (seconds > 0 && seconds < 1)
    throw table.error("interim_seconds", `${seconds} is too small: at least 1, or 0 for never`);
  return seconds * 1000;
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

/** @returns milliseconds */
function readSeconds(table: TomlTable, key: string, min: number, max: number): number | undefined {
  const seconds = table.number(key, { min, max });
  return seconds === undefined ? undefined : seconds * 1000;
}

function readControl(table: TomlTable): ControlConfig {
  const path = table.string("socket") ?? DEFAULT_CONTROL_SOCKET;
  if (path !== "" && !path.startsWith("/"))
    throw table.error("socket", "expected an absolute path, or an empty string for none");
  table.finish();
  return { socket: path };
}

/**
 * Reads the configuration.
 * @param file undefined for the default file, which may be missing
 * @throws CommandFailure with the file and line of a mistake
 */
export function readConfig(file: string | undefined): Config {
  const path = file ?? DEFAULT_CONFIG_FILE;
  let text: string;
  try {
    text = readRegularFile(path, MAX_TEXT_FILE).toString();
  } catch (error) {
    if (file === undefined && isErrno(error, "ENOENT")) return parseConfig("", path, findUser);
    const reason = errorText(error);
    throw new CommandFailure(`cannot read the configuration: ${reason}`, EX_NOINPUT);
  }
  try {
    return parseConfig(text, path, findUser, checkCgroupRoot);
  } catch (error) {
    if (error instanceof ConfigError)
      throw new CommandFailure(error.message, EX_CONFIG, { cause: error });
    throw error;
  }
}
