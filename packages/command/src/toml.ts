/**
 * Reads configuration files in TOML key by key, and reports the line of every mistake. It is a
 * module of its own (`@cm4all/command/toml`): the parser takes some start-up time, so it is loaded
 * only if there is a file to read.
 *
 * @see https://toml.io/en/v1.0.0
 */
import type { AST } from "toml-eslint-parser";
import { getStaticTOMLValue, ParseError, parseTOML } from "toml-eslint-parser";

/** A mistake in a configuration file; the message starts with `FILE:LINE: `. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly file: string;
  /** Counted from 1. */
  readonly line: number;

  constructor(file: string, line: number, problem: string, options?: ErrorOptions) {
    super(`${file}:${line}: ${problem}`, options);
    this.file = file;
    this.line = line;
  }
}

/** A value with its line. */
interface Located {
  readonly line: number;
  readonly value: unknown;
}

interface LocatedTable extends Located {
  readonly value: Map<string, Located>;
}

/**
 * Parses `text`.
 * @param file the name for error messages
 * @throws ConfigError if `text` is not TOML
 */
export function parseToml(text: string, file: string): TomlTable {
  let program: AST.TOMLProgram;
  try {
    program = parseTOML(text, { tomlVersion: "1.0" });
  } catch (error) {
    if (error instanceof ParseError)
      throw new ConfigError(file, error.lineNumber, explain(text, error), { cause: error });
    throw error;
  }
  const root: LocatedTable = { line: 1, value: new Map() };
  for (const node of program.body[0].body)
    if (node.type === "TOMLTable") readTableNode(root, node);
    else readKeyValue(root, node);
  return new TomlTable(file, "", root);
}

function explain(text: string, { lineNumber, message }: ParseError): string {
  const [key, value] = tryUnquoted(text.split("\n")[lineNumber - 1] ?? "") ?? [];
  if (key === undefined) return message;
  if (/^(yes|no|on|off|true|false)$/i.test(value ?? ""))
    return `${key} must be true or false, not ${value}`;
  return `TOML requires quotes around text: ${key} = ${JSON.stringify(value)}`;
}

/**
 * Returns the key and the value of a line `KEY=VALUE`, as in unit files and shells; undefined for
 * any other line, and if the value contains quotes or starts with a bracket. A single regular
 * expression for the whole line would take quadratic time if the line had many blanks.
 */
function tryUnquoted(line: string): [key: string, value: string] | undefined {
  const equals = line.indexOf("=");
  if (equals === -1) return undefined;
  const key = line.slice(0, equals).trim();
  const [value = ""] = line.slice(equals + 1).split("#", 1);
  const text = value.trim();
  return /^[\w.-]+$/.test(key) && /^[^"'[{][^"']*$/.test(text) ? [key, text] : undefined;
}

/**
 * Returns the table at a path, and creates the tables that are missing on the way. The parser has
 * already rejected duplicate and conflicting keys.
 */
function descend(table: LocatedTable, keys: readonly string[], line: number): LocatedTable {
  let current = table;
  for (const key of keys) {
    let next = current.value.get(key);
    // `[[a]]` followed by `[a.b]`: the path continues in the last element of the array.
    if (Array.isArray(next?.value)) next = next.value.at(-1) as Located;
    if (next === undefined) {
      next = { line, value: new Map() };
      current.value.set(key, next);
    }
    current = next as LocatedTable;
  }
  return current;
}

function keysOf(key: AST.TOMLKey): string[] {
  return key.keys.map((part) => (part.type === "TOMLBare" ? part.name : part.value));
}

function readTableNode(root: LocatedTable, node: AST.TOMLTable): void {
  const keys = keysOf(node.key);
  const line = node.loc.start.line;
  let table: LocatedTable;
  if (node.kind === "array") {
    const parent = descend(root, keys.slice(0, -1), line);
    const name = keys.at(-1) ?? "";
    const list = parent.value.get(name) ?? { line, value: [] as Located[] };
    parent.value.set(name, list);
    table = { line, value: new Map() };
    (list.value as Located[]).push(table);
  } else {
    table = descend(root, keys, line);
  }
  for (const entry of node.body) readKeyValue(table, entry);
}

function readKeyValue(table: LocatedTable, node: AST.TOMLKeyValue): void {
  const keys = keysOf(node.key);
  const line = node.loc.start.line;
  descend(table, keys.slice(0, -1), line).value.set(keys.at(-1) ?? "", readContent(node.value));
}

function readContent(node: AST.TOMLContentNode): Located {
  const line = node.loc.start.line;
  switch (node.type) {
    case "TOMLArray":
      return { line, value: node.elements.map(readContent) };
    case "TOMLInlineTable": {
      const table: LocatedTable = { line, value: new Map() };
      for (const entry of node.body) readKeyValue(table, entry);
      return table;
    }
    case "TOMLValue":
      return { line, value: getStaticTOMLValue(node) };
  }
}

function typeName(value: unknown): string {
  if (Array.isArray(value)) return "an array";
  if (value instanceof Map) return "a table";
  if (typeof value === "number") return Number.isInteger(value) ? "an integer" : "a float";
  if (typeof value === "string") return "a string";
  if (typeof value === "boolean") return "a boolean";
  return "a date or time";
}

/**
 * A table of a configuration file. Each getter returns the value of a key, or undefined if the key
 * is missing. `finish`, which is called last, refuses keys for which no getter has been called. The
 * getters and `finish` throw ConfigError.
 */
export class TomlTable {
  readonly file: string;
  /** The name as written between brackets, empty for the file's top level. */
  readonly path: string;
  readonly #table: LocatedTable;
  readonly #taken = new Set<string>();

  constructor(file: string, path: string, table: LocatedTable) {
    this.file = file;
    this.path = path;
    this.#table = table;
  }

  /** The line in which the table starts, counted from 1. */
  get line(): number {
    return this.#table.line;
  }

  /** Returns the keys of the table, in the order of the file. */
  keys(): string[] {
    return [...this.#table.value.keys()];
  }

  #take(key: string): Located | undefined {
    this.#taken.add(key);
    return this.#table.value.get(key);
  }

  #full(key: string): string {
    return this.path === "" ? key : `${this.path}.${key}`;
  }

  /** Returns the line of `key`, or of the table if the key is missing. */
  lineOf(key: string): number {
    return this.#table.value.get(key)?.line ?? this.line;
  }

  /** Returns a ConfigError at the line of `key`, or of the table if the key is missing. */
  error(key: string, problem: string): ConfigError {
    return new ConfigError(this.file, this.lineOf(key), `${this.#full(key)}: ${problem}`);
  }

  #expect(key: string, what: string, value: unknown): ConfigError {
    return this.error(key, `expected ${what}, found ${typeName(value)}`);
  }

  /**
   * Returns a string; undefined if the key is missing.
   * @throws ConfigError for other types
   */
  string(key: string): string | undefined {
    const found = this.#take(key);
    if (found === undefined || typeof found.value === "string") return found?.value as string;
    throw this.#expect(key, "a string", found.value);
  }

  /**
   * Returns true or false; undefined if the key is missing.
   * @throws ConfigError for other types
   */
  boolean(key: string): boolean | undefined {
    const found = this.#take(key);
    if (found === undefined || typeof found.value === "boolean") return found?.value as boolean;
    throw this.#expect(key, "true or false", found.value);
  }

  /** Returns an integer. @param range the least and the greatest allowed value */
  integer(key: string, range: { min?: number; max?: number } = {}): number | undefined {
    const found = this.#take(key);
    if (found === undefined) return undefined;
    if (!Number.isInteger(found.value)) throw this.#expect(key, "an integer", found.value);
    return this.#inRange(key, found.value as number, range);
  }

  /** Returns an integer or a float. @param range the least and the greatest allowed value */
  number(key: string, range: { min?: number; max?: number } = {}): number | undefined {
    const found = this.#take(key);
    if (found === undefined) return undefined;
    if (typeof found.value !== "number" || !Number.isFinite(found.value))
      throw this.#expect(key, "a number", found.value);
    return this.#inRange(key, found.value, range);
  }

  #inRange(key: string, value: number, { min, max }: { min?: number; max?: number }): number {
    if (min !== undefined && value < min)
      throw this.error(key, `${value} is too small: at least ${min}`);
    if (max !== undefined && value > max)
      throw this.error(key, `${value} is too large: at most ${max}`);
    return value;
  }

  /** Returns a string or an integer, for values such as `"10%"` or `1024`. */
  scalar(key: string): string | number | undefined {
    const found = this.#take(key);
    if (found === undefined) return undefined;
    if (typeof found.value === "string" || Number.isInteger(found.value))
      return found.value as string | number;
    throw this.#expect(key, "a string or an integer", found.value);
  }

  /** Returns the strings of an array, or a single string, each with its line. */
  stringOrStrings(key: string): { value: string; line: number }[] | undefined {
    if (typeof this.#table.value.get(key)?.value !== "string") return this.strings(key);
    return [{ value: this.string(key) ?? "", line: this.lineOf(key) }];
  }

  /** Returns the strings of an array, each with its line. */
  strings(key: string): { value: string; line: number }[] | undefined {
    const found = this.#take(key);
    if (found === undefined) return undefined;
    if (!Array.isArray(found.value)) throw this.#expect(key, "an array of strings", found.value);
    return (found.value as Located[]).map(({ value, line }) => {
      if (typeof value === "string") return { value, line };
      throw new ConfigError(
        this.file,
        line,
        `${this.#full(key)}: expected a string, found ${typeName(value)}`,
      );
    });
  }

  /** Returns the integers of an array. */
  integers(key: string, range: { min?: number; max?: number } = {}): number[] | undefined {
    const found = this.#take(key);
    if (found === undefined) return undefined;
    if (!Array.isArray(found.value)) throw this.#expect(key, "an array of integers", found.value);
    return (found.value as Located[]).map(({ value }) => {
      if (!Number.isInteger(value)) throw this.#expect(key, "an array of integers", value);
      return this.#inRange(key, value as number, range);
    });
  }

  /** Returns the integers and strings of an array, such as ids and names, each with its line. */
  integersOrStrings(
    key: string,
    range: { min?: number; max?: number } = {},
  ): { readonly value: number | string; readonly line: number }[] | undefined {
    const found = this.#take(key);
    if (found === undefined) return undefined;
    const expected = "an array of integers and strings";
    if (!Array.isArray(found.value)) throw this.#expect(key, expected, found.value);
    return (found.value as Located[]).map(({ value, line }) => {
      if (typeof value === "string") return { value, line };
      if (!Number.isInteger(value)) throw this.#expect(key, expected, value);
      return { value: this.#inRange(key, value as number, range), line };
    });
  }

  /** Returns a sub-table. */
  table(key: string): TomlTable | undefined {
    const found = this.#take(key);
    if (found === undefined) return undefined;
    if (!(found.value instanceof Map)) throw this.#expect(key, "a table", found.value);
    return new TomlTable(this.file, this.#full(key), found as LocatedTable);
  }

  /** Returns the tables of an array, which is written as `[[key]]` or as inline tables. */
  tables(key: string): TomlTable[] | undefined {
    const found = this.#take(key);
    if (found === undefined) return undefined;
    if (!Array.isArray(found.value)) throw this.#expect(key, "an array of tables", found.value);
    return (found.value as Located[]).map((element) => {
      if (!(element.value instanceof Map))
        throw this.#expect(key, "an array of tables", element.value);
      return new TomlTable(this.file, this.#full(key), element as LocatedTable);
    });
  }

  /** Refuses keys for which no getter has been called. */
  finish(): void {
    for (const key of this.#table.value.keys()) {
      if (this.#taken.has(key)) continue;
      const known = [...this.#taken].sort().join(", ");
      throw this.error(key, `unknown key; known here: ${known}`);
    }
  }
}
