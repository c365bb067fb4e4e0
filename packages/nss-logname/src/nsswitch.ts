/**
 * nsswitch.conf(5): the text parsed to lines that keep every byte, and printed
 * again. Only the lines `passwd` and `group` are taken apart; all others are kept
 * as they are.
 *
 * The grammar is the one of glibc's parser (nss/nss_database.c,
 * nss/nss_action_parse.c), less what it reads in a surprising way: where glibc
 * ignores the rest of a line, or takes a comment for services, a line is refused.
 */

/** The databases in which the module answers. */
export const databases = ["passwd", "group"] as const;
export type Database = (typeof databases)[number];

/** What a service can answer, and what glibc can do then. */
export type Status = "SUCCESS" | "NOTFOUND" | "UNAVAIL" | "TRYAGAIN";
export type Action = "return" | "continue" | "merge";

/** What glibc does where the file says nothing. */
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
  /** The bracket behind the name as it was written, with the white space before it; may be empty. */
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
  /** From the start of the line to the colon. */
  readonly head: string;
  readonly services: readonly Service[];
  /** White space, a comment and the line's end. */
  readonly tail: string;
}

export type Nsswitch = readonly (OtherLine | DatabaseLine)[];

/** The file says something that is not understood, or that would make an edit wrong. */
export class NsswitchError extends Error {
  override readonly name = "NsswitchError";
  /** Counted from 1; undefined where the whole file is meant. */
  readonly line: number | undefined;

  constructor(line: number | undefined, problem: string) {
    super(problem);
    this.line = line;
  }
}

// White space is what isspace(3) says in the C locale. `\s` would be wrong: the
// text is decoded byte by byte, and 0xa0 can be a part of a UTF-8 character.
const headPattern = /^[ \t\v\f\r]*(passwd|group)(?=[ \t\v\f\r:]|$)[ \t\v\f\r]*(:?)/;
const servicePattern = /([ \t\v\f\r]*)([^ \t\v\f\r:#[\]]+)([ \t\v\f\r]*\[[^\]]*\])?/y;
const tailPattern = /[ \t\v\f\r]*(?:(?<=[ \t\v\f\r])#.*)?$/y;
/** One criterion in a bracket. No two parts of it can match the same text: that takes linear time. */
const criterionPattern = /[ \t\v\f\r]*(!?)(\w+)[ \t\v\f\r]*=[ \t\v\f\r]*(\w+)(?=[ \t\v\f\r\]])/y;
const bracketEndPattern = /[ \t\v\f\r]*\]$/y;

/**
 * @param text the file, one character for each byte ("latin1")
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
        `a second ${database} line, after line ${first.number}; glibc heeds the last one only`,
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
  if (head[2] === "") throw new NsswitchError(number, `no colon behind ${database}`);

  const services: Service[] = [];
  let position = head[0].length;
  for (;;) {
    tailPattern.lastIndex = position;
    const tail = tailPattern.exec(content);
    if (tail !== null) {
      if (tail[0].includes("["))
        throw new NsswitchError(
          number,
          "a bracket in a comment behind services, which glibc takes for services too",
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

/** `[!?STATUS=action ...]`, or an empty string for the default actions. */
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

/** For a message: short, and without control characters. */
function quote(text: string): string {
  const plain = text.trim().replace(/[^ -~]/g, "?");
  return `"${plain.length > 40 ? `${plain.slice(0, 40)}...` : plain}"`;
}

/** The text that `parseNsswitch` was given, unless lines were changed. */
export function printNsswitch(lines: Nsswitch): string {
  return lines.map(printLine).join("");
}

function printLine(line: OtherLine | DatabaseLine): string {
  if (line.database === undefined) return line.text;
  const services = line.services.map(({ gap, name, bracket }) => gap + name + bracket);
  return line.head + services.join("") + line.tail;
}

/** Returns the first line of a database; undefined if it has none. */
export function findLine(lines: Nsswitch, database: Database): DatabaseLine | undefined {
  for (const line of lines) if (line.database === database) return line;
  return undefined;
}
