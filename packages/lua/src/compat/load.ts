/** Loading code: from strings, functions and files. */
import { readFileSync } from "node:fs";
import {
  type LuaFunction,
  type LuaState,
  lauxlib,
  lua,
  optText,
  pushText,
  toBytes,
  toText,
} from "../lua.ts";
import { spend } from "./budget.ts";
import { renewUpvalues, setEnvironment, setLoadedEnvironment } from "./environment.ts";
import { Pieces } from "./pieces.ts";
import { hasSignature, openCode } from "./precompiled.ts";
import { systemErrorText } from "./system-error.ts";

/** Any precompiled code. */
const BINARY = "\x1b";

/**
 * Pushes the chunk as a function; on a mistake, its message. Returns Lua's status.
 * @param mode `b` and `t`, as `load` takes them
 */
export function loadChunk(L: LuaState, chunk: string, name: string, mode = "bt"): number {
  const isBinary = chunk.startsWith(BINARY);
  if (!mode.includes(isBinary ? "b" : "t")) {
    pushText(L, "attempt to load chunk with wrong mode");
    return lua.LUA_ERRSYNTAX;
  }
  if (isBinary) spend(L, chunk.length * CHECKED);
  const code = isBinary ? openCode(chunk) : chunk;
  if (code === undefined) {
    const shown = name.startsWith(BINARY) ? "(binary)" : name.slice(1);
    const problem = hasSignature(chunk) ? "malformed" : "incompatible";
    pushText(L, `${shown}: cannot load ${problem} bytecode`);
    return lua.LUA_ERRSYNTAX;
  }
  let position = 0;
  // Piece by piece, so that a long one does not hold up everything else.
  const read = (state: LuaState) => {
    if (position >= code.length) return null;
    const piece = code.slice(position, position + READ_BYTES);
    position += READ_BYTES;
    spend(state, piece.length * COMPILED);
    return toBytes(piece);
  };
  const status = lua.lua_load(L, read, undefined, toBytes(name), toBytes("bt"));
  if (isBinary && status === lua.LUA_OK) renewUpvalues(L);
  return status;
}

const READ_BYTES = 4096;
/** In instructions: a byte that is compiled. */
const COMPILED = 4;
/** In instructions: a byte whose seal is looked at. */
const CHECKED = 1 / 16;

/** As loadChunk, of a file; a byte order mark and a first line that begins with `#` are skipped. */
export function loadFile(L: LuaState, path: string): number {
  let code: string;
  try {
    code = readFileSync(Buffer.from(path, "latin1")).toString("latin1");
  } catch (error) {
    pushText(L, `cannot open ${path}: ${systemErrorText(error)}`);
    return 1;
  }
  return loadChunk(L, code.replace(/^\xef\xbb\xbf/, "").replace(/^#[^\n]*/, ""), `@${path}`);
}

function finishLoad(L: LuaState, status: number, environment: number): number {
  if (status !== lua.LUA_OK) {
    lua.lua_pushnil(L);
    lua.lua_insert(L, -2);
    return 2;
  }
  if (environment === 0) setLoadedEnvironment(L);
  else {
    lua.lua_pushvalue(L, environment);
    setEnvironment(L);
  }
  return 1;
}

function load(L: LuaState): number {
  const environment = lua.lua_type(L, 4) === lua.LUA_TNONE ? 0 : 4;
  const mode = optText(L, 3, "bt");
  const code = toText(L, 1);
  if (code !== undefined) {
    return finishLoad(L, loadChunk(L, code, optText(L, 2, code), mode), environment);
  }
  lauxlib.luaL_checktype(L, 1, lua.LUA_TFUNCTION);
  const name = optText(L, 2, "=(load)");
  const parts = new Pieces();
  for (;;) {
    spend(L, 4);
    lua.lua_pushvalue(L, 1);
    lua.lua_call(L, 0, 1);
    if (lua.lua_type(L, -1) === lua.LUA_TNIL) break;
    const part = toText(L, -1);
    if (part === undefined) {
      pushText(L, "reader function must return a string");
      return finishLoad(L, lua.LUA_ERRRUN, environment);
    }
    if (part === "") break;
    parts.add(part);
    lua.lua_pop(L, 1);
  }
  return finishLoad(L, loadChunk(L, parts.toString(), name, mode), environment);
}

function loadfile(L: LuaState): number {
  const environment = lua.lua_type(L, 3) === lua.LUA_TNONE ? 0 : 3;
  return finishLoad(L, loadFile(L, optText(L, 1, "/dev/stdin")), environment);
}

function dofile(L: LuaState): number {
  const path = optText(L, 1, "/dev/stdin");
  lua.lua_settop(L, 1);
  if (loadFile(L, path) !== lua.LUA_OK) return lua.lua_error(L);
  lua.lua_callk(L, 0, lua.LUA_MULTRET, undefined, finishDofile);
  return finishDofile(L);
}

function finishDofile(L: LuaState): number {
  return lua.lua_gettop(L) - 1;
}

export const loadFunctions: Record<string, LuaFunction> = {
  load,
  loadstring: load,
  loadfile,
  dofile,
};
