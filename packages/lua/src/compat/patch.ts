/**
 * Changes fengari's internals so that scripts written for LuaJIT run unchanged. Because this file
 * and others import from `fengari/src`, fengari is pinned to 0.1.5.
 */
// Imported first: modules are loaded in the order of imports, and the modules of fengari below copy
// what patch-constants.ts changes.
import "./patch-constants.ts";
import defs from "fengari/src/defs.js";
import lapi from "fengari/src/lapi.js";
import ldebug from "fengari/src/ldebug.js";
import ldo from "fengari/src/ldo.js";
import lfunc from "fengari/src/lfunc.js";
import llex from "fengari/src/llex.js";
import lobject from "fengari/src/lobject.js";
import lopcodes from "fengari/src/lopcodes.js";
import ltable from "fengari/src/ltable.js";
import ltm from "fengari/src/ltm.js";
import lvm from "fengari/src/lvm.js";
import type { CallInfo, LuaBytes, LuaState, TValue } from "fengari/src/types";
import { budget } from "./budget.ts";
import { GLOBALS } from "./globals.ts";
import { MAX_STRING_BYTES, StringTooLong } from "./limits.ts";
import { LuaString, latin1 } from "./lua-string.ts";
import { luajitWording } from "./messages.ts";
import { numberToText, textToNumber, truncate } from "./numbers.ts";
import * as table from "./table.ts";

const TOKENS = llex.RESERVED;
const LUA_TNUMBER = 3;
const LUA_TNUMFLT = LUA_TNUMBER;
const HANDLER_SLOTS = 20;

// LuaJIT has doubles only; fengari's integers wrap around at 32 bits. No value counts as an
// integer, whatever its tag says, so that every operation takes the path for doubles.
lobject.TValue.prototype.ttisinteger = () => false;
lobject.TValue.prototype.ttisfloat = function (this: { type: number }) {
  return (this.type & 0x0f) === LUA_TNUMBER;
};
lobject.TValue.prototype.setivalue = function (this: { type: number; value: unknown }, n) {
  this.type = LUA_TNUMFLT;
  this.value = n;
};

// fengari's `tonumber` reads the bytes of a string, which have to be copied if the string is long
// and held as text. Arithmetic and loops in lvm.js still call fengari's function: they copy a long
// string, and the budget is charged for the copy.
const { tonumber } = lvm;
lvm.tonumber = (value) =>
  value.value instanceof LuaString
    ? (textToNumber(value.value.wholeText) ?? false)
    : tonumber(value);

// LuaJIT cuts off the fraction of an argument that has to be a whole number.
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

// Strings are outside the heap, so the heap's limit does not apply to them: `s = s .. s` in a loop
// would use up the machine's memory. Concatenation calls `vslen` for each part.
const { vslen } = lobject.TValue.prototype;
lobject.TValue.prototype.vslen = function (this: object) {
  const length = vslen.call(this);
  if (length > MAX_STRING_BYTES) throw new StringTooLong();
  return length;
};

// If JavaScript throws an exception between two instructions (a string is too long, the stack is
// full), Lua's stack has no room for the handler that turns the exception into a Lua error.
const { lua_pushcfunction } = lapi;
lapi.lua_pushcfunction = (L, fn) => {
  if (fn === L.l_G.atnativeerror) {
    ldo.luaD_checkstack(L, HANDLER_SLOTS);
    L.ci.top = Math.max(L.ci.top, L.top + HANDLER_SLOTS);
  }
  lua_pushcfunction(L, fn);
};

// Tables with an array part: pairs() follows LuaJIT's order, and `#` returns LuaJIT's length even
// for a table with holes.
Object.assign(ltable, table);

// fengari reuses a closure if its upvalues have not changed; LuaJIT makes a new closure each time,
// and setfenv() relies on that.
Object.defineProperty(lfunc.Proto.prototype, "cache", { get: () => null, set: () => {} });

// The wording of error messages: scripts match it, and people search for it.
const { luaO_pushvfstring } = lobject;
lobject.luaO_pushvfstring = (L, format, args) => {
  // LuaJIT names a library function only by the name that the calling code uses.
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

// In LuaJIT, a function that ends with `return f()` has left the stack when `f` runs, even if `f`
// is a library function. In that case, fengari keeps the function's frame, which is hidden here.
const CIST_LUA = 2;
const hasLeft = (ci: CallInfo | null): boolean =>
  ci !== null &&
  (ci.callstatus & CIST_LUA) !== 0 &&
  ci.l_code[ci.l_savedpc - 1]?.opcode === lopcodes.OpCodesI.OP_TAILCALL;

function callerOf(ci: CallInfo): CallInfo | null {
  let caller = ci.previous;
  while (caller !== null && hasLeft(caller)) caller = caller.previous;
  return caller;
}

ldebug.lua_getstack = (L, level, ar) => {
  if (level < 0) return 0;
  let ci: CallInfo | null = L.ci;
  for (let n = level; n > 0 && ci !== null && ci !== L.base_ci; n--) ci = callerOf(ci);
  if (ci === null || ci === L.base_ci) return 0;
  ar.i_ci = ci;
  return 1;
};

// Functions in JavaScript are reported as C functions.
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
  if (ar.name !== null && ar.i_ci !== null && hasLeft(ar.i_ci.previous)) {
    ar.name = null;
    ar.namewhat = new Uint8Array();
  }
  return status;
};

// As in Lua 5.1, `#` of a table calls no metamethod, `#` of another value calls its metamethod with
// nil as the second argument, and a comparison calls a metamethod only if both values have the same
// one.
const NIL = new lobject.TValue(0, null);
const { fasttm, luaT_callorderTM, luaT_callTM, luaT_gettmbyobj } = ltm;
/**
 * The metamethods that were looked up last for `==` and for `#`. Nothing runs between the look-up
 * of a metamethod and its call.
 */
let equality: unknown = null;
let length: unknown = null;
ltm.fasttm = (L, metatable, event) => {
  if (event === ltm.TMS.TM_LEN) return null;
  const method = fasttm(L, metatable, event);
  if (event === ltm.TMS.TM_EQ) equality = method;
  return method;
};
ltm.luaT_callTM = (L, method, left, right, result, hasResult) => {
  const isEquality = equality === method;
  const isLength = length === method;
  equality = length = null;
  const isOne = () => [left, right].every((value) => isOf(L, value, method, ltm.TMS.TM_EQ));
  if (isEquality && !isOne()) result.setnilvalue();
  else luaT_callTM(L, method, left, isLength ? NIL : right, result, hasResult);
};
ltm.luaT_gettmbyobj = (L, object, event) => {
  const method = luaT_gettmbyobj(L, object, event);
  if (event === ltm.TMS.TM_LEN) length = method;
  return method;
};
const isOf = (L: LuaState, object: TValue, method: TValue, event: number): boolean => {
  const own = luaT_gettmbyobj(L, object, event);
  return own.type === method.type && own.value === method.value;
};
ltm.luaT_callorderTM = (L, left, right, event) => {
  const method = luaT_gettmbyobj(L, left, event);
  const other = luaT_gettmbyobj(L, right, event);
  const isOne = method.type === other.type && method.value === other.value;
  return left.ttnov() === right.ttnov() && isOne ? luaT_callorderTM(L, left, right, event) : null;
};

// In Lua 5.1, `_ENV` is a name like any other. In fengari, functions see globals through an upvalue
// of that name; here the upvalue has a name that no script can write.
const { luaX_setinput } = llex;
llex.LUA_ENV = Uint8Array.from(Buffer.from(GLOBALS));
llex.luaX_setinput = (L, ls, input, source, first) => {
  luaX_setinput(L, ls, input, source, first);
  ls.envn = new LuaString(GLOBALS, undefined);
};

// `goto` is a name like any other if no label follows it.
const { luaX_next, luaX_lookahead } = llex;
llex.luaX_lookahead = (ls) =>
  ls.lookahead.token === TOKENS.TK_EOS ? luaX_lookahead(ls) : ls.lookahead.token;
llex.luaX_next = (ls) => {
  luaX_next(ls);
  if (ls.t.token !== TOKENS.TK_GOTO || llex.luaX_lookahead(ls) === TOKENS.TK_NAME) return;
  ls.t.token = TOKENS.TK_NAME;
  ls.t.seminfo.ts = new LuaString("goto", undefined);
};

// Called before each instruction of a thread whose hook mask has LUA_MASKCOUNT.
ldebug.luaG_traceexec = (L) => {
  if (--budget.left < budget.pauseAt) budget.pause(L);
};
