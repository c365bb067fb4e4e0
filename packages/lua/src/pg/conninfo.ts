/**
 * libpq's connection strings, both forms. Pure. Messages are libpq's, but for parts that may
 * belong to a password: those are left out.
 * @see PostgreSQL manual, "Connection Strings"
 */
import { ConninfoError, isOption, type Parameters, quoted } from "./options.ts";
import { isUri, parseUri } from "./uri.ts";

/** @throws ConninfoError in the words of libpq */
export function parseConninfo(conninfo: string): Parameters {
  return isUri(conninfo) ? parseUri(conninfo) : parsePairs(conninfo);
}

/** Blanks as isspace(3) has them in the C locale. */
const NAME = /[ \t\n\v\f\r]*([^= \t\n\v\f\r]*)[ \t\n\v\f\r]*(=?)[ \t\n\v\f\r]*/y;
const QUOTED = /'((?:[^'\\]|\\[\s\S])*)'/y;
const PLAIN = /((?:[^ \t\n\v\f\r\\]|\\[\s\S]|\\$)*)/y;

/** Reads `key = value` pairs; values may be quoted with `'`, `\` takes the next character as it is. */
function parsePairs(text: string): Parameters {
  const parameters: Parameters = new Map();
  // A word after a secret may be the rest of it.
  let hasSecret = false;
  const shown = (word: string) => (hasSecret ? "" : quoted(word));
  for (let at = 0; at < text.length; ) {
    const [found, name = "", equals] = matchAt(NAME, text, at) ?? [""];
    at += found.length;
    if (name === "" && at === text.length && equals === "") break;
    if (equals === "")
      throw new ConninfoError(`missing "="${after(shown(name))} in connection info string`);
    const value = matchAt(text[at] === "'" ? QUOTED : PLAIN, text, at);
    if (value === null)
      throw new ConninfoError("unterminated quoted string in connection info string");
    at += value[0].length;
    if (!isOption(name)) throw new ConninfoError(`invalid connection option${shown(name)}`);
    parameters.set(name, (value[1] ?? "").replace(/\\([\s\S]?)/g, "$1"));
    hasSecret ||= /password|secret/.test(name);
  }
  return parameters;
}

function after(word: string): string {
  return word === "" ? "" : ` after${word}`;
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(text);
}
