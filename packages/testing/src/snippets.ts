/**
 * Reads the snippets of Markdown and manual pages, for the tests that run them. In Markdown these
 * are fenced and indented blocks, in a manual page the text between .EX and .EE, or .nf and .fi. A
 * comment before a snippet (`<!-- ... -->`, `.\" ...`) may contain `not run: REASON`, `tested by:
 * FILE`, `run by: WORDS` and, in manual pages, `language: NAME`. Pure.
 */

/** The tables that the scripts of docs/lua.md use. */
export const LUA_TABLES = `
  CREATE SCHEMA reaper;
  CREATE TABLE reaper.usage (path text, cpu float8);
  CREATE TABLE usage (
    host text, id text, path text, cpu float8, memory int8, PRIMARY KEY (host, id)
  );
  CREATE TABLE prices (kind text, rate text, name text, price numeric);
  INSERT INTO prices VALUES ('cpu', '5', 'cpu', 1.5);
  CREATE TABLE log (path text);
  CREATE TABLE totals (cpu float8);
`;

export interface Snippet {
  /** The line of the page on which the snippet begins, counted from 1. */
  readonly line: number;
  /** The language that a comment or else the fence names; `sh` without either. */
  readonly language: string;
  readonly text: string;
  /** The reason why no test runs the snippet; undefined if a test does. */
  readonly notRun: string | undefined;
  /**
   * The file, relative to the root of the repository, of the test that takes the snippet from the
   * page, and runs its commands or reads it as its program would; undefined if the snippet is left
   * to the test for all snippets of the language.
   */
  readonly testedBy: string | undefined;
  /** Words to put before the shell that runs the snippet, such as `runuser -u nobody --`. */
  readonly runBy: string | undefined;
}

type Remarks = ReadonlyMap<string, string>;

const NO_REMARKS: Remarks = new Map();

/** Returns the key and the value in a comment before a snippet; undefined for other lines. */
function remarkOf(line: string): readonly [string, string] | undefined {
  const [, key, value] =
    /^(?:<!--|\.\\")\s+(not run|tested by|run by|language): (.*?)(?:\s+-->)?$/.exec(line) ?? [];
  return key === undefined || value === undefined ? undefined : [key, value];
}

function snippet(line: number, language: string, lines: readonly string[], remarks: Remarks) {
  return {
    line,
    language: remarks.get("language") ?? language,
    text: lines.join("\n"),
    notRun: remarks.get("not run"),
    testedBy: remarks.get("tested by"),
    runBy: remarks.get("run by"),
  };
}

/** Returns the snippets of a Markdown page. */
export function snippetsOfText(text: string): Snippet[] {
  const found: Snippet[] = [];
  const lines = text.split("\n");
  let remarks: Remarks = NO_REMARKS;
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? "";
    const [, language] = /^```(\w*)$/.exec(line) ?? [];
    const isIndented = language === undefined && line.startsWith("    ");
    const remark = remarkOf(line);
    if (remark !== undefined) remarks = new Map([...remarks, remark]);
    else if (language !== undefined || (isIndented && (lines[at - 1] ?? "") === "")) {
      const first = language === undefined ? at : at + 1;
      let end = first;
      if (language === undefined) while (/^ {4}|^$/.test(lines[end] ?? "end")) end++;
      else while (end < lines.length && lines[end] !== "```") end++;
      const inside = lines.slice(first, end).map((each) => (isIndented ? each.slice(4) : each));
      while (inside.at(-1) === "") inside.pop();
      found.push(snippet(first + 1, language ?? "sh", inside, remarks));
      remarks = NO_REMARKS;
      at = end - (language === undefined ? 1 : 0);
    } else if (line !== "") remarks = NO_REMARKS;
  }
  return found;
}

/** Returns the lines without the spaces with which all of them begin. */
function withoutMargin(lines: readonly string[]): string[] {
  const margins = lines.filter((line) => line !== "").map((line) => line.search(/\S|$/));
  return lines.map((line) => line.slice(Math.min(...margins)));
}

/** Returns the examples of a manual page, as a reader sees them. */
export function snippetsOfManual(text: string): Snippet[] {
  const found: Snippet[] = [];
  const lines = text.split("\n");
  let remarks: Remarks = NO_REMARKS;
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? "";
    const remark = remarkOf(line);
    if (remark !== undefined) remarks = new Map([...remarks, remark]);
    else if (line === ".EX" || line === ".nf") {
      const ending = line === ".EX" ? ".EE" : ".fi";
      const end = lines.indexOf(ending, at);
      if (end === -1) throw new Error(`line ${at + 1}: ${line} without ${ending}`);
      const inside = lines
        .slice(at + 1, end)
        .map((each) => each.replaceAll("\\-", "-").replaceAll("\\e", "\\"));
      found.push(snippet(at + 2, "sh", withoutMargin(inside), remarks));
      remarks = NO_REMARKS;
      at = end;
    } else if (!/^\.(?:PP|RS|in)\b/.test(line)) remarks = NO_REMARKS;
  }
  return found;
}
