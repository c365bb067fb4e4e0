/** The section `[reaper]`: each key with its limits, its default and its meaning. */
import { ConfigError, type TomlTable } from "@cm4all/command/toml";
import { type ByteString, bytesOfText } from "@cm4all/linux";
import { CgroupRootError } from "../reaper/open-root.ts";
import { DEFAULT_SCOPES, parseScope, ScopeError } from "../reaper/scopes.ts";
import { readSeconds } from "./values.ts";

export type ReaperConfig = ReturnType<typeof readReaper>;

/** Throws CgroupRootError if the directory is not in cgroup2. */
export type CheckCgroupRoot = (path: ByteString) => void;

/** Reads the section `[reaper]`. @throws ConfigError */
export function readReaper(table: TomlTable, checkRoot: CheckCgroupRoot) {
  return {
    /** False to reap no cgroups. */
    enabled: table.boolean("enabled") ?? true,
    /** The mount point of cgroup2; undefined if the daemon has to find it. */
    cgroupRoot: readCgroupRoot(table, checkRoot),
    /** The scopes; see reaper/scopes.ts. */
    scopes: [
      ...(readScopes(table, "scopes") ?? DEFAULT_SCOPES),
      ...(readScopes(table, "extra_scopes") ?? []),
    ],
    /** The time from the moment when a cgroup becomes empty until it is measured and deleted. */
    deletionDelayMs: readSeconds(table, "delete_seconds", 0, 3600) ?? 50,
    /** The interval at which the daemon compares its view of the cgroups with the file system. */
    checkIntervalMs: readSeconds(table, "check_seconds", 1, 86_400) ?? 300_000,
    /** How long a cgroup that has become empty is kept if it has children that were never used. */
    unusedMs: readSeconds(table, "unused_seconds", 0.1, 3600) ?? 10_000,
  } as const;
}

function readCgroupRoot(table: TomlTable, checkRoot: CheckCgroupRoot): ByteString | undefined {
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
