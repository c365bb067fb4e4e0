/** Makes the texts of units from options and `slice.toml`. */
import { CommandFailure, EX_CONFIG, EX_USAGE } from "@cm4all/command";
import { fileFailure } from "@cm4all/command/files";
import { MAX_TEXT_FILE, readRegularFile } from "@cm4all/command/regular-file";
import type { Tree } from "@cm4all/command/tree";
import type { SliceConfig } from "./config.ts";
import { DirectiveError } from "./directives.ts";
import { SliceNameError, sliceUnit } from "./name.ts";
import { mergeSettings, parseAssignments, type Settings, unlikelyBytes } from "./settings.ts";
import { encodeUnit } from "./unit.ts";

const CONFIG_FILE = "/etc/cm4all/spawn/slice.toml";

/** The options of the commands that make units. */
export interface SourceOptions {
  /** The configuration file; false for none; undefined for the default one, if it exists. */
  readonly config?: string | false;
  /** Assignments `NAME=VALUE`, which override those of the file. */
  readonly property: readonly string[];
  readonly root?: string;
}

const EMPTY_CONFIG: SliceConfig = { settings: new Map(), nested: new Map() };

/** Returns the configuration file's text and its path on this system; undefined without a file. */
function readConfigFile(
  { config }: SourceOptions,
  tree: Tree | undefined,
): { file: string; text: Buffer } | undefined {
  const file = typeof config === "string" ? config : tree?.show(CONFIG_FILE);
  if (file === undefined) return undefined;
  try {
    if (typeof config === "string") return { file, text: readRegularFile(file, MAX_TEXT_FILE) };
    using place = tree?.tryLocate(CONFIG_FILE);
    const found = place?.read(MAX_TEXT_FILE);
    return found === undefined ? undefined : { file, text: found.content };
  } catch (error) {
    throw fileFailure(`cannot read ${file}`, error);
  }
}

/** Reads the configuration. @throws CommandFailure */
async function readConfig(options: SourceOptions, tree: Tree | undefined): Promise<SliceConfig> {
  const found = options.config === false ? undefined : readConfigFile(options, tree);
  if (found === undefined) return EMPTY_CONFIG;
  // Loaded only here, because loading the TOML parser takes time.
  const { ConfigError, parseConfig } = await import("./config.ts");
  try {
    return parseConfig(found.text.toString(), found.file);
  } catch (error) {
    if (error instanceof ConfigError)
      throw new CommandFailure(error.message, EX_CONFIG, { cause: error });
    throw error;
  }
}

/** Calls `make`, and reports its errors as mistakes on the command line. @throws CommandFailure */
export function checkUsage<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (error instanceof DirectiveError || error instanceof SliceNameError)
      throw new CommandFailure(error.message, EX_USAGE, { cause: error });
    throw error;
  }
}

/** Returns the name of a slice as a key of TOML, in quotes if it has a dot or a backslash. */
function tomlKey(name: string): string {
  return /^[\w-]+$/.test(name) ? name : `'${name}'`;
}

function settingsOf(config: SliceConfig, name: string | undefined, options: Settings): Settings {
  if (name === undefined) return mergeSettings(config.settings, options);
  const settings = config.nested.get(name);
  if (settings === undefined && options.size === 0)
    throw new CommandFailure(
      `${sliceUnit(name)} is not configured: there is neither a [slice.${tomlKey(name)}] in the configuration file nor a --property`,
      EX_CONFIG,
    );
  return mergeSettings(settings ?? new Map(), options);
}

/** Returns the text of a unit. Prints warnings about implausible settings to standard error. */
function makeUnit(settings: Settings, name: string | undefined): string {
  for (const warning of unlikelyBytes(settings)) console.error(`${sliceUnit(name)}: ${warning}`);
  return encodeUnit(settings, name);
}

/**
 * Returns the texts of units by their names: the unit of the slice `name`; without a name, that
 * of the slice itself and then those of all slices that the configuration file nests in it.
 * @param tree holds the default configuration file; needed only if no other one is given
 * @throws CommandFailure
 */
export async function makeUnits(
  name: string | undefined,
  options: SourceOptions,
  tree: Tree | undefined,
): Promise<Map<string, string>> {
  const { unit, assigned } = checkUsage(() => ({
    unit: sliceUnit(name),
    assigned: parseAssignments(options.property),
  }));
  const config = await readConfig(options, tree);
  const units = new Map([[unit, makeUnit(settingsOf(config, name, assigned), name)]]);
  if (name === undefined)
    for (const [child, settings] of config.nested)
      units.set(sliceUnit(child), makeUnit(settings, child));
  return units;
}
