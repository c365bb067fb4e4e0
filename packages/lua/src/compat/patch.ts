/**
 * What of fengari's inside is changed so that scripts written for LuaJIT run
 * unchanged. fengari is pinned to exactly 0.1.5 for the files that import
 * from `fengari/src`.
 */
import "./patch-constants.ts";
import defs from "fengari/src/defs.js";
import lapi from "fengari/src/lapi.js";
import ldebug from "fengari/src/ldebug.js";
import ldo from "fengari/src/ldo.js";
import lfunc from "fengari/src/lfunc.js";
import lobject from "fengari/src/lobject.js";
import ltable from "fengari/src/ltable.js";
import lvm from "fengari/src/lvm.js";
import type { LuaBytes, LuaState } from "fengari/src/types";
import { budget } from "./budget.ts";
import { MAX_STRING_BYTES, StringTooLong } from "./limits.ts";
import { LuaString, latin1 } from "./lua-string.ts";
import { luajitWording } from "./messages.ts";
import { numberToText, textToNumber, truncate } from "./numbers.ts";
import * as table from "./table.ts";

const LUA_TNUMBER = 3;
const LUA_TNUMFLT = LUA_TNUMBER;
const HANDLER_SLOTS = 20;

// LuaJIT knows doubles only; fengari's integers wrap around at 32 bits. No value counts as
// an integer, whatever its tag says, so that every operation takes the path for doubles.
lobject.TValue.prototype.ttisinteger = () => false;
lobject.TValue.prototype.ttisfloat = function (this: { type: number }) {
  return (this.type & 0x0f) === LUA_TNUMBER;
};
lobject.TValue.prototype.setivalue = function (this: { type: number; value: unknown }, n) {
  this.type = LUA_TNUMFLT;
  this.value = n;
};

// Where a function wants a whole number, LuaJIT cuts off the fraction.
lvm.tointeger = (value) => {
  const n = lvm.tonumber(value);
  return n === false ? false : truncate(n);
};
lvm.luaV_tointeger = lvm.tointeger;

lobject.luaO_str2num = (bytes, out) => {
  const end = bytes.indexOf(0);
  const length = end === -1 ? bytes.length : end;
  const n = textToNumber(latin1(bytes.subarray(0, length)));
  if (n === undefined) return 0;
  out.setfltvalue(n);
  return length + 1;
};
lobject.luaO_tostring = (_L, value) => {
  const text = numberToText(Number(value.value));
  value.setsvalue(new LuaString(text, undefined));
};

// Strings live outside of the heap, which has a limit: `s = s .. s` in a loop would take all
// memory of the machine. Concatenation asks for the length of each part.
const { vslen } = lobject.TValue.prototype;
lobject.TValue.prototype.vslen = function (this: object) {
  const length = vslen.call(this);
  if (length > MAX_STRING_BYTES) throw new StringTooLong();
  return length;
};

// Where JavaScript throws between two instructions (a string too long, its stack used up), the
// stack has no room for the handler that turns that into an error of Lua.
const { lua_pushcfunction } = lapi;
lapi.lua_pushcfunction = (L, fn) => {
  if (fn === L.l_G.atnativeerror) {
    ldo.luaD_checkstack(L, HANDLER_SLOTS);
    L.ci.top = Math.max(L.ci.top, L.top + HANDLER_SLOTS);
  }
  lua_pushcfunction(L, fn);
};

// Tables with an array part: order of pairs() and the length of tables with holes.
Object.assign(ltable, table);

// fengari hands out one closure where its upvalues did not change; LuaJIT makes a new one each
// time, which setfenv() relies on.
Object.defineProperty(lfunc.Proto.prototype, "cache", { get: () => null, set: () => {} });

// The texts of errors: scripts match them, and people search for them.
const { luaO_pushvfstring } = lobject;
lobject.luaO_pushvfstring = (L, format, args) => {
  // LuaJIT knows a library function by what the calling code names it, and by nothing else.
  const isArgument = BAD_ARGUMENT.equals(format);
  const known = isArgument ? [args[0], calledName(L), args[2]] : args;
  return luaO_pushvfstring(L, ...luajitWording(format, known));
};
const BAD_ARGUMENT = Buffer.from("bad argument #%d to '%s' (%s)");

function calledName(L: LuaState): LuaBytes {
  const ar = new defs.lua_Debug();
  if (ldebug.lua_getstack(L, 0, ar) > 0) ldebug.lua_getinfo(L, UNNAMED, ar);
  return ar.name ?? QUESTION;
}
const UNNAMED = Uint8Array.from(Buffer.from("n"));
const QUESTION = Uint8Array.from(Buffer.from("?"));

lobject.luaO_pushfstring = (L, format, ...args) => lobject.luaO_pushvfstring(L, format, args);

// Our functions are what C functions are to LuaJIT.
const { lua_getinfo } = ldebug;
const JS_SOURCE = Buffer.from("[JS]");
const C_SOURCE = Uint8Array.from(Buffer.from("[C]"));
ldebug.lua_getinfo = (L, what, ar) => {
  const status = lua_getinfo(L, what, ar);
  if (ar.short_src !== null && JS_SOURCE.equals(ar.short_src)) {
    ar.short_src = C_SOURCE;
    ar.source = Uint8Array.from(Buffer.from("=[C]"));
    ar.what = Uint8Array.from(Buffer.from("C"));
  }
  return status;
};

// Called before each instruction of a thread whose hook mask has LUA_MASKCOUNT.
ldebug.luaG_traceexec = (L) => {
  if (--budget.left < budget.pauseAt) budget.pause(L);
};
