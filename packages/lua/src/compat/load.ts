/** Loads code from strings, functions and files. */
import { readFileSync } from "node:fs";
import {
  type LuaFunction,
  type LuaState,
  lauxlib,
  lua,
  optText,
  pushText,
  raisePlain,
  toBytes,
  toText,
} from "../lua.ts";
import { spend } from "./budget.ts";
import { renewUpvalues, setEnvironment, setLoadedEnvironment } from "./environment.ts";
import { Pieces } from "./pieces.ts";
import { hasSignature, openCode } from "./precompiled.ts";
import { systemErrorText } from "./system-error.ts";

/** The first byte of all precompiled code. */
const BINARY = "\x1b";

/**
 * Pushes the chunk as a function, or the message of an error. Returns Lua's status.
 * @param mode contains `b` if precompiled code is accepted, `t` if source code is, as in `load`
 */
export function loadChunk(L: LuaState, chunk: string, name: string, mode = "bt"): number {
  let rest: string | undefined = chunk;
  return loadPieces(L, name, mode, () => {
    const piece = rest;
    rest = undefined;
    return piece;
  });
}

/** Like `loadChunk`, for code that `next` returns piece by piece; undefined ends the code. */
function loadPieces(
  L: LuaState,
  name: string,
  mode: string,
  next: (L: LuaState) => string | undefined,
): number {
  let isBinary: boolean | undefined;
  let isOver = false;
  let code = "";
  const read = (state: LuaState) => {
    if (code === "" && !isOver) {
      code = next(state) ?? "";
      if (isBinary === undefined) {
        isBinary = code.startsWith(BINARY);
        if (!mode.includes(isBinary ? "b" : "t"))
          raisePlain(state, "attempt to load chunk with wrong mode");
        if (isBinary) code = openPieces(state, code, name, next);
      }
      isOver = code === "";
    }
    if (isOver) return null;
    // One part at a time, so that compiling a long piece stops when the budget is used up.
    const part = code.slice(0, READ_BYTES);
    code = code.slice(READ_BYTES);
    spend(state, part.length * COMPILED);
    return toBytes(part);
  };
  const status = lua.lua_load(L, read, undefined, toBytes(name), toBytes("bt"));
  if (isBinary && status === lua.LUA_OK) renewUpvalues(L);
  return status;
}

/**
 * Reads all pieces of precompiled code and removes the seal (see precompiled.ts).
 * @throws a Lua error if the seal is wrong
 */
function openPieces(
  L: LuaState,
  first: string,
  name: string,
  next: (L: LuaState) => string | undefined,
): string {
  const pieces = new Pieces();
  for (let piece: string | undefined = first; piece !== undefined; piece = next(L))
    pieces.add(piece);
  const sealed = pieces.toString();
  spend(L, sealed.length * CHECKED);
  const code = openCode(sealed);
  if (code !== undefined) return code;
  const shown = name.startsWith(BINARY) ? "(binary)" : name.slice(1);
  const problem = hasSignature(sealed) ? "malformed" : "incompatible";
  return raisePlain(L, `${shown}: cannot load ${problem} bytecode`);
}

const READ_BYTES = 4096;
/** The cost of compiling a byte, in instructions. */
const COMPILED = 4;
/** The cost of a byte when the seal is checked, in instructions. */
const CHECKED = 1 / 16;

/**
 * Like `loadChunk`, for a file; a byte order mark and a first line that begins with `#` are
 * skipped.
 */
export function loadFile(L: LuaState, path: string): number {
  let code: string;
  try {
    code = readFileSync(Buffer.from(path, "latin1")).toString("latin1");
  } catch (error) {
    const text = systemErrorText(error);
    // A directory can be opened, but not read.
    pushText(L, `cannot ${text === "Is a directory" ? "read" : "open"} ${path}: ${text}`);
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
  return finishLoad(L, loadPieces(L, name, mode, callReader), environment);
}

/** Calls the function at index 1, which may fail; returns the next piece of the code. */
function callReader(L: LuaState): string | undefined {
  spend(L, 4);
  lua.lua_pushvalue(L, 1);
  lua.lua_call(L, 0, 1);
  // A number is accepted, too, and is converted to text.
  const type = lua.lua_type(L, -1);
  if (type !== lua.LUA_TNIL && type !== lua.LUA_TSTRING && type !== lua.LUA_TNUMBER)
    return raisePlain(L, "reader function must return a string");
  const piece = toText(L, -1) ?? "";
  lua.lua_pop(L, 1);
  return piece === "" ? undefined : piece;
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
