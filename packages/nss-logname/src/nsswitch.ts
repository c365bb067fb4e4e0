/**
 * Parses nsswitch.conf(5) into lines that keep every byte, and prints them again. Only the
 * lines `passwd` and `group` are divided into services; all others are kept as they are.
 *
 * The grammar is that of glibc's parser (nss/nss_database.c, nss/nss_action_parse.c), without
 * its surprises: a line that glibc reads only in part, or whose comment it reads as services, is
 * refused.
 */

/** The databases that the module serves. */
export const databases = ["passwd", "group"] as const;
export type Database = (typeof databases)[number];

/** The possible answers of a service. */
export type Status = "SUCCESS" | "NOTFOUND" | "UNAVAIL" | "TRYAGAIN";
export type Action = "return" | "continue" | "merge";

/** The actions that glibc takes if the file names none. */
const defaultActions: Readonly<Record<Status, Action>> = {
  SUCCESS: "return",
  NOTFOUND: "continue",
  UNAVAIL: "continue",
  TRYAGAIN: "continue",
};

export interface Service {
  /** The white space before the name. */
  readonly gap: string;
  readonly name: string;
  /** The bracket after the name as it was written, with the white space before it; may be empty. */
  readonly bracket: string;
  readonly actions: Readonly<Record<Status, Action>>;
}

/** A line that is kept as it is. */
interface OtherLine {
  readonly database: undefined;
  readonly text: string;
}

export interface DatabaseLine {
  readonly database: Database;
  /** Counted from 1. */
  readonly number: number;
  /** The text from the start of the line to the colon. */
  readonly head: string;
  readonly services: readonly Service[];
  /** White space, a comment and the end of the line. */
  readonly tail: string;
}

export type Nsswitch = readonly (OtherLine | DatabaseLine)[];

/** Thrown if the file cannot be parsed, or has something that would make an edit wrong. */
export class NsswitchError extends Error {
  override readonly name = "NsswitchError";
  /** Counted from 1; undefined for the whole file. */
  readonly line: number | undefined;

  constructor(line: number | undefined, problem: string) {
    super(problem);
    this.line = line;
  }
}

// White space is that of isspace(3) in the C locale. `\s` would be wrong: the text is decoded
// byte by byte, and 0xa0 can be a part of a UTF-8 character.
const headPattern = /^[ \t\v\f\r]*(passwd|group)(?=[ \t\v\f\r:]|$)[ \t\v\f\r]*(:?)/;
const servicePattern = /([ \t\v\f\r]*)([^ \t\v\f\r:#[\]]+)([ \t\v\f\r]*\[[^\]]*\])?/y;
const tailPattern = /[ \t\v\f\r]*(?:(?<=[ \t\v\f\r])#.*)?$/sy;
/**
 * A criterion in a bracket. No two neighbouring parts of the pattern can match the same character,
 * so matching takes linear time.
 */
const criterionPattern = /[ \t\v\f\r]*(!?)(\w+)[ \t\v\f\r]*=[ \t\v\f\r]*(\w+)(?=[ \t\v\f\r\]])/y;
const bracketEndPattern = /[ \t\v\f\r]*\]$/y;

/**
 * Parses a file.
 * @param text with a character for each byte ("latin1")
 * @throws NsswitchError
 */
export function parseNsswitch(text: string): Nsswitch {
  if (text.includes("\0")) throw new NsswitchError(undefined, "not a text file");
  const lines = (text.match(/[^\n]*\n|[^\n]+$/g) ?? []).map(parseLine);
  for (const database of databases) {
    const found = lines.filter((line) => line.database === database) as DatabaseLine[];
    const [first, second] = found;
    if (first !== undefined && second !== undefined)
      throw new NsswitchError(
        second.number,
        `a second ${database} line, after line ${first.number}; glibc uses only the last one`,
      );
  }
  return lines;
}

function parseLine(text: string, index: number): OtherLine | DatabaseLine {
  const number = index + 1;
  const ending = text.endsWith("\n") ? "\n" : "";
  const content = text.slice(0, text.length - ending.length);

  const head = headPattern.exec(content);
  if (head === null) return { database: undefined, text };
  const database = head[1] as Database;
  if (head[2] === "") throw new NsswitchError(number, `no colon after ${database}`);

  const services: Service[] = [];
  let position = head[0].length;
  for (;;) {
    tailPattern.lastIndex = position;
    const tail = tailPattern.exec(content);
    if (tail !== null) {
      if (tail[0].includes("["))
        throw new NsswitchError(
          number,
          "a bracket in a comment after services: glibc reads such a comment as services, too",
        );
      return { database, number, head: head[0], services, tail: tail[0] + ending };
    }
    servicePattern.lastIndex = position;
    const match = servicePattern.exec(content);
    if (match === null)
      throw new NsswitchError(number, `not understood: ${quote(content.slice(position))}`);
    const [all, gap = "", name = "", bracket = ""] = match;
    services.push({ gap, name, bracket, actions: parseBracket(bracket.trimStart(), number) });
    position += all.length;
  }
}

/** Parses `[!?STATUS=action ...]`; an empty string stands for the default actions. */
function parseBracket(bracket: string, line: number): Readonly<Record<Status, Action>> {
  if (bracket === "") return defaultActions;
  const actions = { ...defaultActions };
  let position = 1;
  do {
    criterionPattern.lastIndex = position;
    const match = criterionPattern.exec(bracket);
    if (match === null) throw new NsswitchError(line, `not understood: ${quote(bracket)}`);
    const [all, not, name = "", what = ""] = match;
    setAction(actions, { isNegated: not !== "", name, what }, line);
    position += all.length;
    bracketEndPattern.lastIndex = position;
  } while (!bracketEndPattern.test(bracket));
  return actions;
}

function setAction(
  actions: Record<Status, Action>,
  { isNegated, name, what }: { isNegated: boolean; name: string; what: string },
  line: number,
): void {
  const status = name.toUpperCase();
  const action = what.toLowerCase();
  if (!isStatus(status)) throw new NsswitchError(line, `unknown status: ${quote(name)}`);
  if (!isAction(action)) throw new NsswitchError(line, `unknown action: ${quote(what)}`);
  for (const each of Object.keys(actions) as Status[])
    if ((each === status) !== isNegated) actions[each] = action;
}

function isStatus(text: string): text is Status {
  return Object.hasOwn(defaultActions, text);
}

function isAction(text: string): text is Action {
  return text === "return" || text === "continue" || text === "merge";
}

/** Quotes a string for a message: shortened, and in printable ASCII. */
function quote(text: string): string {
  const plain = text.trim().replace(/[^ -~]/g, "?");
  return `"${plain.length > 40 ? `${plain.slice(0, 40)}...` : plain}"`;
}

/** Returns the text of lines: the text that was parsed, unless the lines were changed. */
export function printNsswitch(lines: Nsswitch): string {
  return lines.map(printLine).join("");
}

function printLine(line: OtherLine | DatabaseLine): string {
  if (line.database === undefined) return line.text;
  const services = line.services.map(({ gap, name, bracket }) => gap + name + bracket);
  return line.head + services.join("") + line.tail;
}

/** Returns the line of a database; undefined if there is none. */
export function findLine(lines: Nsswitch, database: Database): DatabaseLine | undefined {
  for (const line of lines) if (line.database === database) return line;
  return undefined;
}
