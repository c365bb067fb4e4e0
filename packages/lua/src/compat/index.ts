/** A Lua state for scripts that were written for LuaJIT. */
import { accessSync, constants } from "node:fs";
import { bytesOfLatin1, environmentVariable, latin1Of } from "@cm4all/linux";
import {
  checkText,
  fromBytes,
  type LuaState,
  lauxlib,
  lua,
  pushFailure,
  pushText,
  toBytes,
} from "../lua.ts";
import { openBase } from "./base.ts";
import { openBit } from "./bit.ts";
import { type CoroutineWatcher, openCoroutine } from "./coroutine.ts";
import { openDebug } from "./debug.ts";
import type { EffectGate } from "./effect-gate.ts";
import { openEnvironment } from "./environment.ts";
import { openIo } from "./io.ts";
import { StringTooLong } from "./limits.ts";
import { loadChunk, loadFile } from "./load.ts";
import { openMath } from "./math.ts";
import { OutOfMemory } from "./memory.ts";
import { OpenFiles } from "./open-files.ts";
import { openOs } from "./os.ts";
import type { LineOutput } from "./output.ts";
import { prelude } from "./prelude.ts";
import { openString } from "./string.ts";
import { openTable, preloadExtensions } from "./table-library.ts";

export type { CoroutineWatcher } from "./coroutine.ts";
export type { EffectGate } from "./effect-gate.ts";
export { OpenFiles } from "./open-files.ts";
export { LineOutput, writeFully } from "./output.ts";
export { endStreams } from "./streams.ts";

const DEFAULT_PATH = [
  "./?.lua",
  "/usr/share/luajit-2.1.0-beta3/?.lua",
  "/usr/local/share/lua/5.1/?.lua",
  "/usr/local/share/lua/5.1/?/init.lua",
  "/usr/share/lua/5.1/?.lua",
  "/usr/share/lua/5.1/?/init.lua",
].join(";");

export interface StateOptions {
  /** The output of `print` and `io.write`. */
  output: LineOutput;
  coroutines?: CoroutineWatcher;
  gate?: EffectGate;
  /** The files that the script opens; the caller closes them. */
  files?: OpenFiles;
}

const indifferent: CoroutineWatcher = { resume: (_, run) => run(), ended: () => {} };
const open: EffectGate = (_, perform) => perform(undefined);

/** Returns a new state with the standard libraries. */
export function newState({
  output,
  coroutines = indifferent,
  gate = open,
  files = new OpenFiles(),
}: StateOptions): LuaState {
  const L = lauxlib.luaL_newstate();
  // Without a handler, a script's pcall would get whatever is on top of the stack as the message.
  lua.lua_atnativeerror(L, describeNativeError);
  openBase(L, output);
  openString(L);
  openTable(L);
  openMath(L);
  openBit(L);
  openOs(L, output, gate, files);
  openIo(L, output, gate, files);
  openCoroutine(L, coroutines);
  openEnvironment(L);
  openDebug(L);
  runPrelude(L);
  preloadExtensions(L);
  return L;
}

/** Turns a JavaScript error, such as a stack overflow, into an error of the script. */
function describeNativeError(L: LuaState): number {
  const error = lua.lua_touserdata(L, 1);
  if (error instanceof RangeError && /call stack/.test(error.message))
    pushText(L, "stack overflow");
  else if (error instanceof StringTooLong || error instanceof OutOfMemory)
    pushText(L, error.message);
  // A string, an array or a map is larger than V8 allows.
  else if (error instanceof RangeError) pushText(L, "not enough memory");
  else pushText(L, error instanceof Error ? `internal error: ${error.message}` : String(error));
  return 1;
}

function runPrelude(L: LuaState): void {
  if (loadChunk(L, prelude, "=[prelude]") !== lua.LUA_OK)
    throw new Error(fromBytes(lua.lua_tolstring(L, -1) ?? new Uint8Array()));
  lua.lua_pushcfunction(L, exists);
  lua.lua_pushcfunction(L, loadPath);
  pushText(L, searchPath());
  lua.lua_call(L, 3, 0);
}

/**
 * Returns $LUA_PATH_5_1 or $LUA_PATH, in which `;;` stands for the default path; the default path
 * if neither is set.
 */
function searchPath(): string {
  const variable = (name: string) => environmentVariable(bytesOfLatin1(name));
  const path = variable("LUA_PATH_5_1") ?? variable("LUA_PATH");
  return path === undefined ? DEFAULT_PATH : latin1Of(path).replaceAll(";;", `;${DEFAULT_PATH};`);
}

function exists(L: LuaState): number {
  let readable = true;
  try {
    accessSync(Buffer.from(checkText(L, 1), "latin1"), constants.R_OK);
  } catch {
    readable = false;
  }
  lua.lua_pushboolean(L, readable);
  return 1;
}

function loadPath(L: LuaState): number {
  if (loadFile(L, checkText(L, 1)) === lua.LUA_OK) return 1;
  return pushFailure(L, fromBytes(lua.lua_tolstring(L, -1) ?? toBytes("")));
}
