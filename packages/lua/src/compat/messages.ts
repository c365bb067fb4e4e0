/** Replaces fengari's error messages, which are those of Lua 5.3, with LuaJIT's. Pure. */
import defs from "fengari/src/defs.js";
import type { LuaBytes } from "fengari/src/types";

const { to_luastring } = defs;

type Message = [format: LuaBytes, args: unknown[]];

const texts = new Map<string, (args: unknown[]) => Message>([
  ["attempt to %s a %s value%s", wrongType],
  ["attempt to yield across a JS-call boundary", yieldAcross],
  ["attempt to yield from outside a coroutine", yieldAcross],
  ["JS stack overflow", () => [to_luastring("stack overflow"), []]],
  ["%s near %s", near],
  ["no visible label '%s' for <goto> at line %d", only("undefined label '%s'")],
  ["<%s> at line %d not inside a loop", () => [to_luastring("no loop to break"), []]],
  ["label '%s' already defined on line %d", only("duplicate label '%s'")],
  [
    "<goto %s> at line %d jumps into the scope of local '%s'",
    ([label, , local]) => [
      to_luastring("<goto %s> jumps into the scope of local '%s'"),
      [label, local],
    ],
  ],
  ["%s expected", ([token]) => [to_luastring("%s expected"), [quoted(token)]]],
]);

/** Returns the message in LuaJIT's words, as the arguments of `lua_pushvfstring`. */
export function luajitWording(format: LuaBytes, args: unknown[]): Message {
  const rewrite = texts.get(text(format));
  return rewrite === undefined ? [format, args] : rewrite(args);
}

/** Returns a function that puts only the first argument into this format. */
function only(format: string): (args: unknown[]) => Message {
  return ([first]) => [to_luastring(format), [first]];
}

/** Makes `attempt to index global 'x' (a nil value)` from `index`, `nil`, ` (global 'x')`. */
function wrongType([operation, type, name]: unknown[]): Message {
  const match = /^ \((\w+) '(.*)'\)$/s.exec(text(name));
  if (match === null || match[1] === "constant")
    return [to_luastring("attempt to %s a %s value"), [operation, type]];
  return [
    to_luastring("attempt to %s %s '%s' (a %s value)"),
    [operation, match[1], Buffer.from(match[2] ?? "", "latin1"), type],
  ];
}

function yieldAcross(): Message {
  return [to_luastring("attempt to yield across C-call boundary"), []];
}

/** Returns the message without the number of the line in which a long string began. */
function short(message: unknown): Buffer {
  return Buffer.from(text(message).replace(/ \(starting at line \d+\)$/, ""), "latin1");
}

/** Mistakes in an escape sequence, for which LuaJIT has a single message. */
const ESCAPE = /(?:invalid escape sequence|decimal escape too large|hexadecimal digit expected)$/;
const STATEMENT = /syntax error$/;

/** Returns the message of a syntax error, with the token at which the error was detected. */
function near([message, token]: unknown[]): Message {
  const problem = text(message);
  const place = text(token);
  if (ESCAPE.test(problem))
    return nearText(problem.replace(ESCAPE, "invalid escape sequence"), beforeEscape(token));
  // After an expression that is not a call, LuaJIT expects an assignment.
  if (STATEMENT.test(problem) && place !== "'='" && place !== "','")
    return nearText(problem.replace(STATEMENT, "'=' expected"), quoted(token));
  return [to_luastring("%s near %s"), [short(message), quoted(token)]];
}

const nearText = (problem: string, token: unknown): Message => [
  to_luastring("%s near %s"),
  [Buffer.from(problem, "latin1"), token],
];

/** Returns the string up to the wrong escape sequence. */
function beforeEscape(token: unknown): Buffer {
  return Buffer.from(text(token).replace(/\\[^\\]*$/s, "'"), "latin1");
}

/** Puts `<eof>` and `<name>` in quotes. */
function quoted(token: unknown): unknown {
  return /^<\w+>$/.test(text(token)) ? `'${text(token)}'` : token;
}

function text(value: unknown): string {
  return value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : String(value);
}
