/**
 * Reads `slice.toml`, which has the directives of the slice at the top level, and those of a nested
 * slice in `[slice.NAME]`.
 */
import { ConfigError, parseToml, type TomlTable } from "@cm4all/command/toml";
import { DirectiveError, findDirective } from "./directives.ts";
import { SliceNameError, sliceUnit } from "./name.ts";
import { addSetting, type Settings } from "./settings.ts";

export { ConfigError };

export interface SliceConfig {
  /** The settings of the slice itself. */
  readonly settings: Settings;
  /** The settings of the slices nested in it, by their names. */
  readonly nested: ReadonlyMap<string, Settings>;
}

/**
 * Parses slice.toml.
 * @param file the name for error messages
 * @throws ConfigError with the line of the mistake
 */
export function parseConfig(text: string, file: string): SliceConfig {
  const root = parseToml(text, file);
  const settings = readSettings(root, "slice");
  const slices = root.table("slice");
  const nested = new Map<string, Settings>();
  for (const name of slices?.keys() ?? []) {
    const table = slices?.table(name);
    if (table === undefined) continue;
    try {
      sliceUnit(name);
    } catch (error) {
      if (error instanceof SliceNameError) throw new ConfigError(file, table.line, error.message);
      throw error;
    }
    nested.set(name, readSettings(table));
  }
  return { settings, nested };
}

/** Reads the directives of a table. @param except a key that is not a directive */
function readSettings(table: TomlTable, except?: string): Settings {
  const settings = new Map<string, string[]>();
  for (const key of table.keys()) {
    if (key === except) continue;
    try {
      for (const value of readValues(table, key)) addSetting(settings, key, value);
    } catch (error) {
      if (error instanceof DirectiveError) throw table.error(key, error.problem);
      throw error;
    }
  }
  return settings;
}

/** Returns the values of a directive as text. The directive determines their TOML type. */
function readValues(table: TomlTable, key: string): string[] {
  const directive = findDirective(key);
  if (directive.perDevice) return (table.strings(key) ?? []).map(({ value }) => value);
  if (directive.boolean) return table.boolean(key) ? ["yes"] : ["no"];
  const value = table.scalar(key);
  if (typeof value === "number" && !Number.isSafeInteger(value))
    throw table.error(key, "too large for an integer: write it as a string");
  return value === undefined ? [] : [String(value)];
}
