/** Values that keys of several sections have. Each getter gives undefined for a key that is missing. */
import type { TomlTable } from "@cm4all/command/toml";

/** @returns milliseconds; `min` and `max` are seconds */
export function readSeconds(
  table: TomlTable,
  key: string,
  min: number,
  max: number,
): number | undefined {
  const seconds = table.number(key, { min, max });
  return seconds === undefined ? undefined : seconds * 1000;
}

/**
 * Reads a path; undefined if the key is not there.
 * @throws ConfigError if it does not begin with a slash
 */
export function readAbsolutePath(table: TomlTable, key: string): string | undefined {
  const path = table.string(key);
  if (path === undefined || path.startsWith("/")) return path;
  throw table.error(key, "expected an absolute path");
}
