/** `string.find`, `match`, `gmatch` and `gsub`. */
import {
  argumentError,
  checkText,
  checkTextInPart,
  type LuaFunction,
  type LuaState,
  lauxlib,
  lua,
  pushText,
  raise,
  toText,
  typeName,
} from "../lua.ts";
import { spend, spendBytes } from "./budget.ts";
import { Matcher, PatternError } from "./pattern.ts";
import { Pieces } from "./pieces.ts";

/**
 * Calls `body` with a matcher whose steps are counted; an invalid pattern becomes an error of
 * the script.
 */
function matching(
  L: LuaState,
  source: string,
  pattern: string,
  body: (matcher: Matcher) => number,
): number {
  spendBytes(pattern.length);
  const matcher = new Matcher(source, pattern, (steps) => spend(L, steps));
  try {
    const results = body(matcher);
    matcher.finish();
    return results;
  } catch (error) {
    if (error instanceof PatternError) return raise(L, error.message);
    throw error;
  }
}

function pushCapture(L: LuaState, capture: string | number): void {
  if (typeof capture === "string") pushText(L, capture);
  else lua.lua_pushnumber(L, capture);
}

/** Pushes all captures; if there are none and `whole` is true, pushes the whole match. */
function pushCaptures(
  L: LuaState,
  matcher: Matcher,
  start: number,
  end: number,
  whole: boolean,
): number {
  const count = Math.max(matcher.captureCount, whole ? 1 : 0);
  lauxlib.luaL_checkstack(L, count, "too many captures");
  for (let i = 0; i < count; i++) pushCapture(L, matcher.capture(i, start, end));
  return count;
}

/**
 * Returns the position at which a search begins, counted from 0. The argument counts from 1, or
 * from the end if it is negative.
 */
function startArgument(L: LuaState, index: number, length: number): number {
  const n = lauxlib.luaL_optinteger(L, index, 1);
  const start = n < 0 ? length + n : n - 1;
  return Math.min(Math.max(start, 0), length);
}

/**
 * The greatest length, in bytes, of a string that is cheap to search for: in the worst case, the
 * time that V8 takes grows with this length times the length of the text that is searched.
 */
const LONG = 256;
const COMPARISONS = 4096;

function findPlain(L: LuaState, source: string, text: string, start: number): number {
  if (text.length > LONG) spend(L, ((source.length - start) * text.length) / COMPARISONS);
  const at = source.indexOf(text, start);
  spendBytes((at === -1 ? source.length : at) - start);
  return at === -1 ? pushNil(L) : pushRange(L, at, at + text.length);
}

function search(find: boolean): LuaFunction {
  return (L) => {
    const source = checkTextInPart(L, 1);
    const pattern = checkText(L, 2);
    const start = startArgument(L, 3, source.length);
    if (find && (lua.lua_toboolean(L, 4) || !/[\^$*+?.([%-]/.test(pattern)))
      return findPlain(L, source, pattern, start);
    const anchored = pattern.startsWith("^");
    return matching(L, source, pattern, (matcher) => {
      for (let s = start; s <= source.length; s++) {
        const end = matcher.matchAt(s, anchored ? 1 : 0);
        if (end !== undefined) {
          if (!find) return pushCaptures(L, matcher, s, end, true);
          return pushRange(L, s, end) + pushCaptures(L, matcher, s, end, false);
        }
        if (anchored) break;
      }
      return pushNil(L);
    });
  };
}

function pushNil(L: LuaState): number {
  lua.lua_pushnil(L);
  return 1;
}

function pushRange(L: LuaState, start: number, end: number): number {
  lua.lua_pushnumber(L, start + 1);
  lua.lua_pushnumber(L, end);
  return 2;
}

function gmatch(L: LuaState): number {
  const source = checkTextInPart(L, 1);
  const pattern = checkText(L, 2);
  let position = 0;
  lua.lua_pushcfunction(L, (caller) =>
    matching(caller, source, pattern, (matcher) => {
      for (let s = position; s <= source.length; s++) {
        const end = matcher.matchAt(s, 0);
        if (end === undefined) continue;
        // After an empty match, the position moves on, so that the match is not found again.
        position = end === s ? end + 1 : end;
        return pushCaptures(caller, matcher, s, end, true);
      }
      position = source.length + 1;
      return 0;
    }),
  );
  return 1;
}

function gsub(L: LuaState): number {
  const source = checkText(L, 1);
  const pattern = checkText(L, 2);
  const type = lua.lua_type(L, 3);
  if (type < lua.LUA_TNUMBER || type > lua.LUA_TFUNCTION)
    argumentError(L, 3, "string/function/table expected");
  const template = toText(L, 3);
  const most = lauxlib.luaL_optinteger(L, 4, source.length + 1);
  const anchored = pattern.startsWith("^");
  return matching(L, source, pattern, (matcher) => {
    const result = new Pieces();
    let count = 0;
    let s = 0;
    /** The text before this position is already in the result. */
    let copied = 0;
    while (count < most) {
      const end = matcher.matchAt(s, anchored ? 1 : 0);
      if (end !== undefined) {
        count++;
        result.add(source.slice(copied, s));
        copied = end;
        if (template?.includes("%")) spend(L, template.length / 2);
        else if (template !== undefined) spendBytes(template.length);
        if (template === undefined) result.add(replacement(L, matcher, s, end));
        else addExpanded(result, template, matcher, s, end);
      }
      if (end !== undefined && end > s) s = end;
      else if (s < source.length) s++;
      else break;
      if (anchored) break;
    }
    result.add(source.slice(copied));
    pushText(L, result.toString());
    lua.lua_pushnumber(L, count);
    return 2;
  });
}

/** Adds a replacement: `%0` is the match, `%1` to `%9` are captures, any other `%x` is `x`. */
function addExpanded(
  result: Pieces,
  template: string,
  matcher: Matcher,
  start: number,
  end: number,
): void {
  let at = 0;
  for (;;) {
    const percent = template.indexOf("%", at);
    result.add(template.slice(at, percent === -1 ? template.length : percent));
    if (percent === -1) return;
    const c = template[percent + 1] ?? "\0";
    if (c === "0") result.add(matcher.whole(start, end));
    else if (c >= "1" && c <= "9") result.add(String(matcher.capture(Number(c) - 1, start, end)));
    else result.add(c);
    at = percent + 2;
  }
}

/**
 * Returns the replacement that the function or table in argument 3 gives for the match; false
 * and nil keep the matched text.
 */
function replacement(L: LuaState, matcher: Matcher, start: number, end: number): string {
  lua.lua_pushvalue(L, 3);
  if (lua.lua_type(L, 3) === lua.LUA_TFUNCTION) {
    lua.lua_call(L, pushCaptures(L, matcher, start, end, true), 1);
  } else {
    pushCapture(L, matcher.capture(0, start, end));
    lua.lua_gettable(L, -2);
    lua.lua_remove(L, -2);
  }
  const kept = !lua.lua_toboolean(L, -1);
  const text = kept ? matcher.whole(start, end) : toText(L, -1);
  if (text === undefined) return raise(L, `invalid replacement value (a ${typeName(L, -1)})`);
  lua.lua_pop(L, 1);
  return text;
}

export const searchFunctions: Record<string, LuaFunction> = {
  find: search(true),
  match: search(false),
  gmatch,
  gsub,
};
