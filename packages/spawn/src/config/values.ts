/**
 * Functions that read the kinds of values that occur in several sections. Each returns undefined if
 * the key is missing.
 */
import type { TomlTable } from "@cm4all/command/toml";

/** Reads a time in seconds between `min` and `max`. @returns milliseconds */
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
 * Reads a path; undefined if the key is missing.
 * @throws ConfigError if it does not begin with a slash
 */
export function readAbsolutePath(table: TomlTable, key: string): string | undefined {
  const path = table.string(key);
  if (path === undefined || path.startsWith("/")) return path;
  throw table.error(key, "expected an absolute path");
}
