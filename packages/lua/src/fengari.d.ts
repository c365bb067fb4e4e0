/**
 * The parts of fengari 0.1.5 that we use: its C API under the C names (see the Lua
 * 5.3 manual), and the internal modules that `compat/patch.ts` changes. fengari
 * comes without types.
 */
declare module "fengari/src/types" {
  /** A string of bytes. */
  export type LuaBytes = Uint8Array;

  export interface TValue {
    type: number;
    value: unknown;
    ttisnil(): boolean;
    ttnov(): number;
    svalue(): LuaBytes;
    setfrom(other: TValue): void;
    setnilvalue(): void;
    setsvalue(s: TString): void;
    setfltvalue(n: number): void;
  }

  export interface TString {
    /** Our addition: a character for each byte. */
    readonly text: string;
    readonly wholeText: string;
    readonly length: number;
    getstr(): LuaBytes;
    tsslen(): number;
  }

  export interface LuaClosure {
    upvals: TValue[];
    p: { upvalues: { name: TString | null }[]; lineinfo: number[] };
  }

  export interface GlobalState {
    id_counter: number;
    l_registry: TValue;
    atnativeerror: LuaFunction | null;
    mainthread: LuaState;
  }

  /** The frame of a running function. */
  export interface CallInfo {
    top: number;
    funcOff: number;
    previous: CallInfo | null;
    callstatus: number;
    /** The instructions of a Lua function. */
    l_code: { opcode: number }[];
    l_savedpc: number;
  }

  /** One thread of a Lua state: the main one or a coroutine. */
  export interface LuaState {
    id: number;
    l_G: GlobalState;
    stack: TValue[];
    top: number;
    ci: CallInfo;
    base_ci: CallInfo;
    hookmask: number;
    status: number;
  }

  /** A function for scripts: returns how many of the topmost values are its results. */
  export type LuaFunction = (L: LuaState) => number;

  export interface DebugInfo {
    i_ci: CallInfo | null;
    name: LuaBytes | null;
    namewhat: LuaBytes;
    what: LuaBytes | null;
    source: LuaBytes | null;
    short_src: LuaBytes | null;
    currentline: number;
    linedefined: number;
    lastlinedefined: number;
    nups: number;
  }
}

declare module "fengari/src/defs.js" {
  import type { DebugInfo, LuaBytes } from "fengari/src/types";

  const defs: {
    to_luastring(text: string, cache?: boolean): LuaBytes;
    lua_Debug: new () => DebugInfo;
  };
  export default defs;
}

declare module "fengari/src/luaconf.js" {
  const luaconf: {
    lua_number2str(n: number): string;
    LUA_COMPAT_FLOATSTRING: boolean;
    LUAI_MAXSTACK: number;
    frexp(n: number): [number, number];
    ldexp(mantissa: number, exponent: number): number;
  };
  export default luaconf;
}

declare module "fengari/src/ljstype.js" {
  const ljstype: { lislalpha(c: number): boolean; lislalnum(c: number): boolean };
  export default ljstype;
}

declare module "fengari/src/llimits.js" {
  import type { LuaState } from "fengari/src/types";

  const llimits: { luai_nummod(L: LuaState, a: number, b: number): number };
  export default llimits;
}

declare module "fengari/src/lstring.js" {
  import type { LuaBytes, LuaState, TString } from "fengari/src/types";

  const lstring: {
    TString: unknown;
    luaS_hash(bytes: LuaBytes): string;
    luaS_hashlongstr(ts: TString): string;
    luaS_eqlngstr(a: TString, b: TString): boolean;
    luaS_bless(L: LuaState, bytes: LuaBytes): TString;
    luaS_new(L: LuaState, bytes: LuaBytes): TString;
    luaS_newliteral(L: LuaState, text: string): TString;
  };
  export default lstring;
}

declare module "fengari/src/lapi.js" {
  import type { LuaFunction, LuaState } from "fengari/src/types";

  const lapi: { lua_pushcfunction(L: LuaState, fn: LuaFunction): void };
  export default lapi;
}

declare module "fengari/src/ldo.js" {
  import type { LuaState } from "fengari/src/types";

  const ldo: { luaD_checkstack(L: LuaState, slots: number): void };
  export default ldo;
}

declare module "fengari/src/lfunc.js" {
  const lfunc: { Proto: { prototype: object } };
  export default lfunc;
}

declare module "fengari/src/ltm.js" {
  import type { LuaState, TValue } from "fengari/src/types";

  const ltm: {
    TMS: { TM_EQ: number; TM_LEN: number };
    fasttm(L: LuaState, metatable: unknown, event: number): TValue | null;
    luaT_callorderTM(L: LuaState, left: TValue, right: TValue, event: number): boolean | null;
    luaT_callTM(
      L: LuaState,
      method: TValue,
      left: TValue,
      right: TValue,
      result: TValue,
      hasResult: number,
    ): void;
    luaT_gettmbyobj(L: LuaState, value: TValue, event: number): TValue;
  };
  export default ltm;
}

declare module "fengari/src/llex.js" {
  import type { LuaBytes, LuaState, TString } from "fengari/src/types";

  interface Token {
    token: number;
    seminfo: { ts: TString | null };
  }
  interface LexState {
    t: Token;
    lookahead: Token;
    /** The name of the upvalue for globals. */
    envn: TString;
  }
  const llex: {
    LUA_ENV: LuaBytes;
    luaX_setinput(L: LuaState, ls: LexState, input: unknown, source: TString, first: number): void;
    luaX_next(ls: LexState): void;
    luaX_lookahead(ls: LexState): number;
    RESERVED: { TK_EOS: number; TK_GOTO: number; TK_NAME: number };
  };
  export default llex;
}

declare module "fengari/src/lopcodes.js" {
  const lopcodes: { OpCodesI: { OP_TAILCALL: number } };
  export default lopcodes;
}

declare module "fengari/src/lobject.js" {
  import type { LuaBytes, LuaState, TString, TValue } from "fengari/src/types";

  const lobject: {
    TValue: {
      new (type: number, value: unknown): TValue;
      prototype: {
        ttisinteger(): boolean;
        ttisfloat(): boolean;
        setivalue(n: number): void;
        vslen(this: object): number;
      };
    };
    luaO_nilobject: TValue;
    setobj2s(L: LuaState, index: number, value: TValue): void;
    pushsvalue2s(L: LuaState, value: TString): void;
    luaO_str2num(bytes: LuaBytes, out: TValue): number;
    luaO_tostring(L: LuaState, value: TValue): void;
    luaO_pushvfstring(L: LuaState, format: LuaBytes, args: unknown[]): LuaBytes;
    luaO_pushfstring(L: LuaState, format: LuaBytes, ...args: unknown[]): LuaBytes;
  };
  export default lobject;
}

declare module "fengari/src/lvm.js" {
  import type { TValue } from "fengari/src/types";

  const lvm: {
    tonumber(value: TValue): number | false;
    tointeger(value: TValue): number | false;
    luaV_tointeger(value: TValue, mode: number): number | false;
  };
  export default lvm;
}

declare module "fengari/src/ldebug.js" {
  import type { DebugInfo, LuaBytes, LuaState } from "fengari/src/types";

  const ldebug: {
    luaG_runerror(L: LuaState, format: LuaBytes, ...args: unknown[]): never;
    luaG_errormsg(L: LuaState): never;
    luaG_traceexec(L: LuaState): void;
    lua_getinfo(L: LuaState, what: string | LuaBytes, ar: DebugInfo): number;
    lua_getstack(L: LuaState, level: number, ar: DebugInfo): number;
  };
  export default ldebug;
}

declare module "fengari/src/ltable.js" {
  const ltable: Record<string, unknown>;
  export default ltable;
}

declare module "fengari/src/lbaselib.js" {
  import type { LuaFunction } from "fengari/src/types";

  const lbaselib: { luaopen_base: LuaFunction };
  export default lbaselib;
}

declare module "fengari/src/lcorolib.js" {
  import type { LuaFunction } from "fengari/src/types";

  const lcorolib: { luaopen_coroutine: LuaFunction };
  export default lcorolib;
}

declare module "fengari/src/lauxlib.js" {
  import type { LuaBytes, LuaFunction, LuaState } from "fengari/src/types";

  const lauxlib: {
    luaL_newstate(): LuaState;
    luaL_error(L: LuaState, format: LuaBytes, ...args: unknown[]): never;
    luaL_argerror(L: LuaState, index: number, message: LuaBytes): never;
    luaL_checkany(L: LuaState, index: number): void;
    luaL_checktype(L: LuaState, index: number, type: number): void;
    luaL_checknumber(L: LuaState, index: number): number;
    luaL_checkinteger(L: LuaState, index: number): number;
    luaL_optinteger(L: LuaState, index: number, value: number): number;
    luaL_checkstring(L: LuaState, index: number): LuaBytes;
    luaL_checkstack(L: LuaState, size: number, message: string | null): void;
    luaL_tolstring(L: LuaState, index: number): LuaBytes;
    luaL_typename(L: LuaState, index: number): LuaBytes;
    luaL_where(L: LuaState, level: number): void;
    luaL_traceback(L: LuaState, from: LuaState, message: LuaBytes | null, level: number): void;
    luaL_requiref(L: LuaState, name: LuaBytes, open: LuaFunction, global: number): void;
    luaL_getsubtable(L: LuaState, index: number, name: LuaBytes): number;
    luaL_getmetafield(L: LuaState, index: number, name: LuaBytes): number;
  };
  export default lauxlib;
}

declare module "fengari/src/lua.js" {
  import type {
    DebugInfo,
    LuaBytes,
    LuaClosure,
    LuaFunction,
    LuaState,
    TValue,
  } from "fengari/src/types";

  type Continuation = (L: LuaState, status: number, context: unknown) => number;
  const lua: {
    LUA_MULTRET: number;
    LUA_REGISTRYINDEX: number;
    LUA_RIDX_GLOBALS: number;
    LUA_OK: number;
    LUA_YIELD: number;
    LUA_ERRRUN: number;
    LUA_ERRSYNTAX: number;
    LUA_MASKCOUNT: number;
    LUA_TNONE: number;
    LUA_TNIL: number;
    LUA_TBOOLEAN: number;
    LUA_TLIGHTUSERDATA: number;
    LUA_TNUMBER: number;
    LUA_TSTRING: number;
    LUA_TTABLE: number;
    LUA_TFUNCTION: number;
    LUA_TUSERDATA: number;
    LUA_TTHREAD: number;
    LUA_OPLT: number;
    lua_Debug: new () => DebugInfo;
    lua_absindex(L: LuaState, index: number): number;
    lua_atnativeerror(L: LuaState, handler: LuaFunction): unknown;
    lua_call(L: LuaState, args: number, results: number): void;
    lua_callk(
      L: LuaState,
      args: number,
      results: number,
      context: unknown,
      k: Continuation | null,
    ): void;
    lua_pcall(L: LuaState, args: number, results: number, handler: number): number;
    lua_pcallk(
      L: LuaState,
      args: number,
      results: number,
      handler: number,
      context: unknown,
      k: Continuation | null,
    ): number;
    lua_checkstack(L: LuaState, size: number): boolean;
    lua_compare(L: LuaState, a: number, b: number, op: number): number | boolean;
    lua_concat(L: LuaState, n: number): void;
    lua_copy(L: LuaState, from: number, to: number): void;
    lua_createtable(L: LuaState, narray: number, nrec: number): void;
    lua_newtable(L: LuaState): void;
    lua_error(L: LuaState): never;
    lua_getfield(L: LuaState, index: number, name: string | LuaBytes): number;
    lua_getglobal(L: LuaState, name: string | LuaBytes): number;
    lua_getinfo(L: LuaState, what: string | LuaBytes, ar: DebugInfo): number;
    lua_getlocal(L: LuaState, ar: DebugInfo | null, n: number): LuaBytes | null;
    lua_setlocal(L: LuaState, ar: DebugInfo, n: number): LuaBytes | null;
    lua_getmetatable(L: LuaState, index: number): boolean;
    lua_getstack(L: LuaState, level: number, ar: DebugInfo): number;
    lua_gettop(L: LuaState): number;
    lua_getuservalue(L: LuaState, index: number): number;
    lua_setuservalue(L: LuaState, index: number): void;
    lua_getupvalue(L: LuaState, index: number, n: number): LuaBytes | null;
    lua_setupvalue(L: LuaState, index: number, n: number): LuaBytes | null;
    lua_insert(L: LuaState, index: number): void;
    lua_load<T>(
      L: LuaState,
      reader: (L: LuaState, data: T) => LuaBytes | null,
      data: T,
      name: LuaBytes,
      mode: LuaBytes | null,
    ): number;
    /** Dumps the function on top of the stack. */
    lua_dump<T>(
      L: LuaState,
      writer: (L: LuaState, bytes: LuaBytes, length: number, data: T) => number,
      data: T,
      strip: boolean,
    ): number;
    lua_iscfunction(L: LuaState, index: number): boolean;
    lua_isnoneornil(L: LuaState, index: number): boolean;
    lua_isyieldable(L: LuaState): boolean;
    lua_newthread(L: LuaState): LuaState;
    lua_newuserdata(L: LuaState): object;
    lua_next(L: LuaState, index: number): number;
    lua_pop(L: LuaState, n: number): void;
    lua_pushboolean(L: LuaState, value: boolean | number): void;
    lua_pushcclosure(L: LuaState, fn: LuaFunction, n: number): void;
    lua_pushcfunction(L: LuaState, fn: LuaFunction): void;
    lua_pushglobaltable(L: LuaState): void;
    lua_pushlightuserdata(L: LuaState, value: unknown): void;
    lua_pushnil(L: LuaState): void;
    lua_pushnumber(L: LuaState, n: number): void;
    lua_pushstring(L: LuaState, s: string | LuaBytes): LuaBytes;
    lua_pushthread(L: LuaState): boolean;
    lua_pushvalue(L: LuaState, index: number): void;
    lua_rawequal(L: LuaState, a: number, b: number): boolean | number;
    lua_rawget(L: LuaState, index: number): number;
    lua_rawgeti(L: LuaState, index: number, n: number): number;
    lua_rawlen(L: LuaState, index: number): number;
    lua_rawset(L: LuaState, index: number): void;
    lua_rawseti(L: LuaState, index: number, n: number): void;
    lua_remove(L: LuaState, index: number): void;
    lua_replace(L: LuaState, index: number): void;
    lua_resume(L: LuaState, from: LuaState | null, args: number): number;
    lua_rotate(L: LuaState, index: number, n: number): void;
    lua_setfield(L: LuaState, index: number, name: string | LuaBytes): void;
    lua_setglobal(L: LuaState, name: string | LuaBytes): void;
    lua_gettable(L: LuaState, index: number): number;
    lua_settable(L: LuaState, index: number): void;
    lua_setmetatable(L: LuaState, index: number): boolean;
    lua_settop(L: LuaState, index: number): void;
    lua_status(L: LuaState): number;
    lua_toboolean(L: LuaState, index: number): boolean;
    lua_tolstring(L: LuaState, index: number): LuaBytes | null;
    lua_tonumber(L: LuaState, index: number): number;
    lua_tonumberx(L: LuaState, index: number): number | false;
    lua_tocfunction(L: LuaState, index: number): LuaFunction;
    lua_topointer(L: LuaState, index: number): LuaClosure | object | null;
    lua_tothread(L: LuaState, index: number): LuaState | null;
    lua_touserdata(L: LuaState, index: number): unknown;
    lua_type(L: LuaState, index: number): number;
    lua_typename(L: LuaState, type: number): LuaBytes;
    lua_upvalueid(L: LuaState, index: number, n: number): TValue | null;
    lua_upvaluejoin(L: LuaState, f1: number, n1: number, f2: number, n2: number): void;
    lua_upvalueindex(n: number): number;
    lua_xmove(from: LuaState, to: LuaState, n: number): void;
    lua_yieldk(L: LuaState, results: number, context: unknown, k: Continuation | null): number;
  };
  export default lua;
}
