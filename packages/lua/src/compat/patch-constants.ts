/**
 * The half of the patch that must be in place before the rest of fengari loads:
 * its modules copy these functions into variables of their own.
 */
import llimits from "fengari/src/llimits.js";
import lstring from "fengari/src/lstring.js";
import luaconf from "fengari/src/luaconf.js";
import { numberToText } from "./numbers.ts";

// LuaJIT has no integers, so 42.0 is shown as 42.
luaconf.LUA_COMPAT_FLOATSTRING = true;
luaconf.lua_number2str = numberToText;

// LuaJIT computes the remainder from the quotient: 5 % math.huge is nan, -1 % 1 is 0.
llimits.luai_nummod = (_L, a, b) => a - Math.floor(a / b) * b;

// fengari joins the bytes' hexadecimal digits without padding, so that "\1\35" and "\18\3"
// are the same key, and compares strings by that text, so that "\n" sorts after "A".
lstring.luaS_hash = (bytes) =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
lstring.luaS_hashlongstr = (ts) => {
  ts.hash ??= lstring.luaS_hash(ts.getstr());
  return ts.hash;
};
