import { DirectiveError, directives, findDirective, parseValue } from "./directives.ts";

/** The settings of a slice: the checked values of each directive, by its name. */
export type Settings = ReadonlyMap<string, readonly string[]>;

/**
 * Checks a value and adds it.
 * @throws DirectiveError for an unknown directive, a value that is not allowed, or a second value
 * for the same directive or device
 */
export function addSetting(settings: Map<string, string[]>, name: string, text: string): void {
  const directive = findDirective(name);
  const value = parseValue(directive, text.replace(/^ +| +$/g, ""));
  const values = settings.get(name) ?? [];
  const device = (entry: string) => entry.split(" ", 1)[0];
  if (directive.perDevice && values.some((other) => device(other) === device(value)))
    throw new DirectiveError(name, `${device(value)} is given twice`);
  if (!directive.perDevice && values.length > 0)
    throw new DirectiveError(name, "given twice; it takes one value");
  settings.set(name, [...values, value]);
}

/**
 * Parses assignments in the form `NAME=VALUE`, as in systemctl's --property.
 * @throws DirectiveError
 */
export function parseAssignments(assignments: readonly string[]): Settings {
  const settings = new Map<string, string[]>();
  for (const assignment of assignments) {
    const equals = assignment.indexOf("=");
    if (equals < 0) throw new DirectiveError(assignment, "expected NAME=VALUE");
    addSetting(settings, assignment.slice(0, equals), assignment.slice(equals + 1));
  }
  return settings;
}

/** Returns the settings of both; for a directive in both, only those of `over`. */
export function mergeSettings(base: Settings, over: Settings): Settings {
  return new Map([...base, ...over]);
}

/** The smallest amount of memory, in bytes, that is plausible if it has no suffix. */
const LEAST_MEMORY = 1024 ** 2;
/** The same for a bandwidth, in bytes per second. */
const LEAST_BANDWIDTH = 64 * 1024;

/** Returns a warning for each number that has no suffix and means implausibly few bytes. */
export function unlikelyBytes(settings: Settings): string[] {
  return [...settings].flatMap(([name, values]) => {
    const least = /Memory\w*(?:Min|Low|High|Max)$/.test(name)
      ? LEAST_MEMORY
      : /Bandwidth/.test(name)
        ? LEAST_BANDWIDTH
        : 0;
    return values.flatMap((value) => {
      const number = /(?:^| )(\d+(?:\.\d+)?)$/.exec(value)?.[1];
      if (number === undefined || Number(number) === 0 || Number(number) >= least) return [];
      return [`${name}: ${number} means bytes; did you mean ${number}M?`];
    });
  });
}

/**
 * Returns the settings in the order of the table of directives, so that equal settings give
 * equal units.
 */
export function sortSettings(settings: Settings): [name: string, values: readonly string[]][] {
  return directives.flatMap(({ name }) => {
    const values = settings.get(name);
    return values === undefined ? [] : [[name, values] as [string, readonly string[]]];
  });
}
