/** The section `[namespaces]`: each key with its limits and its default. */
import { ConfigError, type TomlTable } from "@cm4all/command/toml";
import { encodeUnixAddress, errorText } from "@cm4all/linux";
import { type FindUser, findGroup } from "../accounting/terms/user.ts";
import type { AllowedPeers, Quotas, Settings } from "../namespaces/settings.ts";
import { readSeconds } from "./values.ts";

export interface NamespacesConfig {
  /**
   * The address at which clients connect, unless the service manager passes a socket. Only a
   * restart applies a change.
   */
  readonly listen: string;
  readonly settings: Settings;
}

const MAX_ID = 0xfffffffe;

/**
 * Reads the section `[namespaces]`.
 * @param find looks up the uids of users; groups are looked up in /etc/group
 * @throws ConfigError
 */
export function readNamespaces(table: TomlTable, find: FindUser): NamespacesConfig {
  return {
    listen: readAddress(table, "listen") ?? "@cm4all-spawn",
    settings: {
      allowed: readAllowedPeers(table, find),
      quotas: readQuotas(table),
      lifetimeMs: readSeconds(table, "expire_seconds", 0.1, 31_536_000) ?? 60_000,
    },
  };
}

function readQuotas(table: TomlTable): Quotas {
  const range = { min: 1, max: 10_000 };
  const names = table.integer("max_names", range) ?? 10_000;
  // As a rule, a few uids create all the names, so one uid may have nearly all of them; the rest is
  // left to the other uids.
  const usualPerUid = names - Math.floor(names / 10);
  return {
    names,
    namesPerUid: table.integer("max_names_per_uid", range) ?? usualPerUid,
    userNamespaces: table.integer("max_user_namespaces", range) ?? 10_000,
    userNamespacesPerName: table.integer("max_user_namespaces_per_name", range) ?? 10_000,
    connections: table.integer("max_connections", range) ?? 4096,
    connectionsPerUid: table.integer("max_connections_per_uid", range) ?? 1024,
  };
}

function readAllowedPeers(table: TomlTable, find: FindUser): AllowedPeers {
  return {
    uids: new Set(readIds(table, "allow_uids", "user", (name) => find(name)?.uid)),
    gids: new Set(readIds(table, "allow_gids", "group", findGroup)),
  };
}

/** Reads a list of ids and of names; `find` looks up the id of a name. */
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
