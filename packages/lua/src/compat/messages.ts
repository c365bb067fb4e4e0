/** fengari has the error texts of Lua 5.3; these are LuaJIT's. Pure. */
import defs from "fengari/src/defs.js";
import type { LuaBytes } from "fengari/src/types";

const { to_luastring } = defs;

type Message = [format: LuaBytes, args: unknown[]];

const texts = new Map<string, (args: unknown[]) => Message>([
  ["attempt to %s a %s value%s", wrongType],
  ["attempt to yield across a JS-call boundary", yieldAcross],
  ["attempt to yield from outside a coroutine", yieldAcross],
  ["JS stack overflow", () => [to_luastring("stack overflow"), []]],
  [
    "%s near %s",
    ([message, token]) => [to_luastring("%s near %s"), [short(message), quoted(token)]],
  ],
  ["%s expected", ([token]) => [to_luastring("%s expected"), [quoted(token)]]],
]);

/** The message with LuaJIT's words, as the arguments of `lua_pushvfstring`. */
export function luajitWording(format: LuaBytes, args: unknown[]): Message {
  const rewrite = texts.get(text(format));
  return rewrite === undefined ? [format, args] : rewrite(args);
}

/** `index`, `nil`, ` (global 'x')` becomes `attempt to index global 'x' (a nil value)`. */
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

/** Without the line where a long string began. */
function short(message: unknown): Buffer {
  return Buffer.from(text(message).replace(/ \(starting at line \d+\)$/, ""), "latin1");
}

/** `<eof>` and `<name>` in quotes. */
function quoted(token: unknown): unknown {
  return /^<\w+>$/.test(text(token)) ? `'${text(token)}'` : token;
}

function text(value: unknown): string {
  return value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : String(value);
}
