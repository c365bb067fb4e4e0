/** The `math` library. */
import luaconf from "fengari/src/luaconf.js";
import {
  type LuaFunction,
  type LuaState,
  lauxlib,
  lua,
  pushLibrary,
  setLibrary,
  toBytes,
} from "../lua.ts";
import { Random } from "./random.ts";

function unary(fn: (x: number) => number): LuaFunction {
  return (L) => {
    lua.lua_pushnumber(L, fn(lauxlib.luaL_checknumber(L, 1)));
    return 1;
  };
}

function binary(fn: (x: number, y: number) => number): LuaFunction {
  return (L) => {
    lua.lua_pushnumber(L, fn(lauxlib.luaL_checknumber(L, 1), lauxlib.luaL_checknumber(L, 2)));
    return 1;
  };
}

function extreme(better: (x: number, y: number) => boolean): LuaFunction {
  return (L) => {
    let best = lauxlib.luaL_checknumber(L, 1);
    for (let i = 2; i <= lua.lua_gettop(L); i++) {
      const x = lauxlib.luaL_checknumber(L, i);
      if (better(x, best)) best = x;
    }
    lua.lua_pushnumber(L, best);
    return 1;
  };
}

function log(L: LuaState): number {
  const x = lauxlib.luaL_checknumber(L, 1);
  if (lua.lua_isnoneornil(L, 2)) lua.lua_pushnumber(L, Math.log(x));
  else lua.lua_pushnumber(L, Math.log2(x) / Math.log2(lauxlib.luaL_checknumber(L, 2)));
  return 1;
}

function modf(L: LuaState): number {
  const x = lauxlib.luaL_checknumber(L, 1);
  lua.lua_pushnumber(L, Math.trunc(x));
  // The fraction has the number's sign, even if it is 0.
  const fraction = Number.isFinite(x) ? Math.abs(x - Math.trunc(x)) : x - x || 0;
  lua.lua_pushnumber(
    L,
    Number.isNaN(x) ? x : x < 0 || Object.is(x, -0) ? -Math.abs(fraction || 0) : fraction || 0,
  );
  return 2;
}

function frexp(L: LuaState): number {
  const [mantissa, exponent] = luaconf.frexp(lauxlib.luaL_checknumber(L, 1));
  lua.lua_pushnumber(L, mantissa);
  lua.lua_pushnumber(L, exponent);
  return 2;
}

/**
 * Returns the functions of a new generator of random numbers. As in LuaJIT, the sequence is the
 * same in each process, until `randomseed` changes the seed.
 */
function randomFunctions(): { random: LuaFunction; randomseed: LuaFunction } {
  const generator = new Random(0);
  return {
    random: (L) => {
      const r = generator.next();
      if (lua.lua_gettop(L) === 0) {
        lua.lua_pushnumber(L, r);
        return 1;
      }
      const first = lauxlib.luaL_checknumber(L, 1);
      const two = lua.lua_gettop(L) > 1;
      const low = two ? first : 1;
      const high = two ? lauxlib.luaL_checknumber(L, 2) : first;
      lua.lua_pushnumber(L, Math.floor(r * (high - low + 1)) + low);
      return 1;
    },
    randomseed: (L) => {
      // Without an argument, the seed is random, as in Debian 13's LuaJIT; Debian 12's raises an
      // error.
      const isSeeded = lua.lua_gettop(L) > 0;
      generator.seed(isSeeded ? lauxlib.luaL_checknumber(L, 1) : Math.random());
      return 0;
    },
  };
}

/** Adds the library `math` of Lua 5.1, with LuaJIT's random numbers. */
export function openMath(L: LuaState): void {
  const { abs, acos, asin, atan, ceil, cos, cosh, exp, floor, log10 } = Math;
  const { sin, sinh, sqrt, tan, tanh, PI, pow, atan2 } = Math;
  pushLibrary(L, {
    ...Object.fromEntries(
      Object.entries({ abs, acos, asin, atan, ceil, cos, cosh, exp, floor, log10 })
        .concat(Object.entries({ sin, sinh, sqrt, tan, tanh }))
        .map(([name, fn]) => [name, unary(fn)]),
    ),
    deg: unary((x) => x * (180 / PI)),
    rad: unary((x) => x * (PI / 180)),
    pow: binary(pow),
    atan2: binary(atan2),
    fmod: binary((x, y) => x % y),
    ldexp: binary((mantissa, exponent) => luaconf.ldexp(mantissa, Math.trunc(exponent))),
    max: extreme((x, y) => x > y),
    min: extreme((x, y) => x < y),
    log,
    modf,
    frexp,
    ...randomFunctions(),
  });
  lua.lua_pushnumber(L, PI);
  lua.lua_setfield(L, -2, toBytes("pi"));
  lua.lua_pushnumber(L, Number.POSITIVE_INFINITY);
  lua.lua_setfield(L, -2, toBytes("huge"));
  setLibrary(L, "math");
}
