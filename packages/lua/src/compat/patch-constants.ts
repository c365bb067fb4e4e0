/**
 * The part of the patch that must be in place before the rest of fengari is loaded, because
 * fengari's modules copy these functions and constants into variables of their own.
 */
import ljstype from "fengari/src/ljstype.js";
import llimits from "fengari/src/llimits.js";
import lstring from "fengari/src/lstring.js";
import luaconf from "fengari/src/luaconf.js";
import type { LuaBytes, LuaState, TString } from "fengari/src/types";
import { LuaString, latin1 } from "./lua-string.ts";
import { numberToText } from "./numbers.ts";

// LuaJIT has no integers, so 42.0 is shown as 42.
luaconf.LUA_COMPAT_FLOATSTRING = true;
luaconf.lua_number2str = numberToText;

// The number of slots of a thread's stack. They take 20 MB, and allow as deep a recursion as in
// LuaJIT, which has 65,500 slots, but uses fewer for each frame. With fengari's million slots, the
// heap would be full before the stack.
luaconf.LUAI_MAXSTACK = 200_000;

// In LuaJIT, names may contain any bytes beyond ASCII.
const { lislalpha, lislalnum } = ljstype;
ljstype.lislalpha = (c) => c >= 0x80 || lislalpha(c);
ljstype.lislalnum = (c) => c >= 0x80 || lislalnum(c);

// LuaJIT computes the remainder from the quotient: 5 % math.huge is nan, -1 % 1 is 0.
llimits.luai_nummod = (_L, a, b) => a - Math.floor(a / b) * b;

// In tables and comparisons, the key of a string is its text. fengari's key is made of the
// hexadecimal digits of the bytes without padding, so that "\1\35" and "\18\3" have the same key.
lstring.TString = LuaString;
lstring.luaS_bless = (_L: LuaState, bytes: LuaBytes) => new LuaString(undefined, bytes);
lstring.luaS_new = newString;
lstring.luaS_newliteral = (_L: LuaState, text: string) => new LuaString(text, undefined);
lstring.luaS_hash = latin1;
lstring.luaS_hashlongstr = (string) => string.wholeText;
lstring.luaS_eqlngstr = (a, b) => a === b || (a.length === b.length && a.wholeText === b.text);

/**
 * Makes constants and names, which are held as text. Some callers use `new`, so this is not an
 * arrow function.
 */
function newString(_L: LuaState, bytes: LuaBytes): TString {
  return new LuaString(latin1(bytes), undefined);
}
