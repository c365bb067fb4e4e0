/** The `bit` library: bitwise operations on 32 bits, with signed results (bitop.luajit.org). */
import {
  type LuaFunction,
  type LuaState,
  lauxlib,
  lua,
  pushLibrary,
  pushText,
  setLibrary,
} from "../lua.ts";

/**
 * Rounds a number to a 32-bit integer, halves to even. As in LuaJIT, the integer has the low bits
 * of the number plus 2^52 + 2^51, which decides the result for numbers that are too large.
 */
export function toBit(n: number): number {
  view.setFloat64(0, n + 6755399441055744);
  return view.getInt32(4);
}

const view = new DataView(new ArrayBuffer(8));

function check(L: LuaState, index: number): number {
  return toBit(lauxlib.luaL_checknumber(L, index));
}

function fold(fn: (a: number, b: number) => number): LuaFunction {
  return (L) => {
    let result = check(L, 1);
    for (let i = 2; i <= lua.lua_gettop(L); i++) result = fn(result, check(L, i));
    lua.lua_pushnumber(L, result | 0);
    return 1;
  };
}

function shift(fn: (a: number, n: number) => number): LuaFunction {
  return (L) => {
    lua.lua_pushnumber(L, fn(check(L, 1), check(L, 2) & 31) | 0);
    return 1;
  };
}

function single(fn: (a: number) => number): LuaFunction {
  return (L) => {
    lua.lua_pushnumber(L, fn(check(L, 1)) | 0);
    return 1;
  };
}

function rotateLeft(a: number, n: number): number {
  return n === 0 ? a : (a << n) | (a >>> (32 - n));
}

function swapBytes(a: number): number {
  return (a << 24) | ((a & 0xff00) << 8) | ((a >>> 8) & 0xff00) | (a >>> 24);
}

function tohex(L: LuaState): number {
  const value = check(L, 1) >>> 0;
  const digits = lua.lua_isnoneornil(L, 2) ? 8 : check(L, 2);
  const count = Math.min(Math.abs(digits), 8);
  const text = value
    .toString(16)
    .padStart(8, "0")
    .slice(8 - count);
  pushText(L, digits < 0 ? text.toUpperCase() : text);
  return 1;
}

/** Adds LuaJIT's library `bit`. */
export function openBit(L: LuaState): void {
  pushLibrary(L, {
    band: fold((a, b) => a & b),
    bor: fold((a, b) => a | b),
    bxor: fold((a, b) => a ^ b),
    bnot: single((a) => ~a),
    tobit: single((a) => a),
    bswap: single(swapBytes),
    lshift: shift((a, n) => a << n),
    rshift: shift((a, n) => a >>> n),
    arshift: shift((a, n) => a >> n),
    rol: shift(rotateLeft),
    ror: shift((a, n) => rotateLeft(a, (32 - n) & 31)),
    tohex,
  });
  setLibrary(L, "bit");
}
