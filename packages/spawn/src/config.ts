/** Reads the daemon's configuration, spawn.toml. The files in config/ read its sections. */
import { isDeepStrictEqual } from "node:util";
import { CommandFailure, EX_CONFIG, EX_NOINPUT, EX_OSERR } from "@cm4all/command";
import { MAX_TEXT_FILE, readRegularFile } from "@cm4all/command/regular-file";
import { ConfigError, parseToml, type TomlTable } from "@cm4all/command/toml";
import { errorText, isErrno, isShortage } from "@cm4all/linux";
import { type FindUser, findUser } from "./accounting/terms/user.ts";
import { type AccountingConfig, readAccounting } from "./config/accounting.ts";
import { type NamespacesConfig, readNamespaces } from "./config/namespaces.ts";
import {
  type ControlConfig,
  type MetricsConfig,
  readControl,
  readMetrics,
} from "./config/operator.ts";
import { type CheckCgroupRoot, type ReaperConfig, readReaper } from "./config/reaper.ts";
import { checkCgroupRoot } from "./reaper/open-root.ts";

export const DEFAULT_CONFIG_FILE = "/etc/cm4all/spawn/spawn.toml";

export interface Config {
  readonly namespaces: NamespacesConfig;
  readonly metrics: MetricsConfig;
  readonly reaper: ReaperConfig;
  readonly accounting: AccountingConfig;
  readonly control: ControlConfig;
}

/** The keys that only a restart applies, each with a function that returns its value. */
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
 * Returns the keys whose values differ and that a reload does not apply. Pure.
 * @param running the configuration with which the daemon was started
 */
export function keysForRestart(running: Config, next: Config): string[] {
  return RESTART_KEYS.filter(([, select]) => !isDeepStrictEqual(select(running), select(next))).map(
    ([key]) => key,
  );
}

/**
 * Parses the text of a configuration. The groups that it names are looked up in /etc/group.
 * @param file the name of the file, for messages
 * @param find looks up the users in the configuration, and the script's default user
 * @param checkRoot throws CgroupRootError if a directory is not in cgroup2
 * @throws ConfigError for an unknown key, a value of the wrong type or a bad value
 */
export function parseConfig(
  text: string,
  file: string,
  find: FindUser,
  checkRoot: CheckCgroupRoot = () => undefined,
): Config {
  const root = parseToml(text, file);
  const section = <T>(name: string, read: (table: TomlTable) => T): T => {
    const table = root.table(name) ?? parseToml("", file);
    const values = read(table);
    table.finish();
    return values;
  };
  const config = {
    namespaces: section("namespaces", (table) => readNamespaces(table, find)),
    metrics: section("metrics", readMetrics),
    reaper: section("reaper", (table) => readReaper(table, checkRoot)),
    accounting: section("accounting", (table) => readAccounting(table, find)),
    control: section("control", readControl),
  };
  root.finish();
  return config;
}

/**
 * Reads the configuration.
 * @param file undefined for the default file, which may be missing
 * @throws CommandFailure if the file cannot be read, or if it has a mistake; the message about a
 *   mistake has the file and the line
 */
export function readConfig(file: string | undefined): Config {
  const path = file ?? DEFAULT_CONFIG_FILE;
  let text: string;
  try {
    text = readRegularFile(path, MAX_TEXT_FILE).toString();
  } catch (error) {
    if (file === undefined && isErrno(error, "ENOENT")) return parseConfig("", path, findUser);
    const reason = errorText(error);
    const status = isShortage(error) ? EX_OSERR : EX_NOINPUT;
    throw new CommandFailure(`cannot read the configuration: ${reason}`, status);
  }
  try {
    return parseConfig(text, path, findUser, checkCgroupRoot);
  } catch (error) {
    if (error instanceof ConfigError)
      throw new CommandFailure(error.message, EX_CONFIG, { cause: error });
    throw error;
  }
}
