/**
 * libpq's connection strings in both forms. Pure. Messages are libpq's, without the parts that
 * may belong to a password.
 * @see PostgreSQL manual, "Connection Strings"
 */
import { ConninfoError, isOption, type Parameters, quoted } from "./options.ts";
import { isUri, parseUri } from "./uri.ts";

/** Parses a connection string. @throws ConninfoError with libpq's message */
export function parseConninfo(conninfo: string): Parameters {
  return isUri(conninfo) ? parseUri(conninfo) : parsePairs(conninfo);
}

/** White space is what isspace(3) accepts in the C locale. */
const NAME = /[ \t\n\v\f\r]*([^= \t\n\v\f\r]*)[ \t\n\v\f\r]*(=?)[ \t\n\v\f\r]*/y;
const QUOTED = /'((?:[^'\\]|\\[\s\S])*)'/y;
const PLAIN = /((?:[^ \t\n\v\f\r\\]|\\[\s\S]|\\$)*)/y;

/** Reads `key = value` pairs. Values may be quoted with `'`; `\` escapes the next character. */
function parsePairs(text: string): Parameters {
  const parameters: Parameters = new Map();
  // A word after a secret may be the rest of the secret.
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
