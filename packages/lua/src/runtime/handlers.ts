/**
 * The handlers that a script defines: the functions that are called for cgroups. They are read
 * once, after the script has been loaded.
 */
import { type ByteString, bytesOfText } from "@cm4all/linux";
import { type LuaState, lua, toBytes, typeName } from "../lua.ts";
import {
  type HandlerShape,
  type Handlers,
  RUN_KINDS,
  type RunKind,
  shapesOf,
} from "../run-kinds.ts";
import type { Scheduler } from "./scheduler.ts";
import { ScriptError } from "./script-error.ts";
import type { ScriptFailure } from "./task.ts";

const BEARS_REPETITION = "handlers_bear_repetition";

const registryKey = (kind: RunKind) => toBytes(`the handler of ${kind} cgroups`);

/** The key, in Lua's registry, of the global that was read last. */
const GLOBAL = toBytes("the value of a global");

/**
 * Pushes the value of a global. Reading it may run code of the script, because the table of globals
 * may have a metatable. If that code fails, the value is nil: scripts often forbid the use of
 * undefined globals in this way.
 * @returns the failure, if there was one
 */
export function pushGlobal(
  L: LuaState,
  scheduler: Scheduler,
  name: string,
): ScriptFailure | undefined {
  const setGlobal = () => lua.lua_setfield(L, lua.LUA_REGISTRYINDEX, GLOBAL);
  lua.lua_pushnil(L);
  setGlobal();
  lua.lua_pushcfunction(L, () => {
    lua.lua_getglobal(L, toBytes(name));
    setGlobal();
    return 0;
  });
  const failure = scheduler.call(bytesOfText(`reading '${name}'`), 0);
  lua.lua_getfield(L, lua.LUA_REGISTRYINDEX, GLOBAL);
  return failure;
}

/**
 * Takes the handlers from the globals; assigning other values to these globals later has no effect.
 * @throws ScriptError if a global has the wrong type, or if there is no handler for released
 *   cgroups because reading it fails: without a handler, cgroups would be deleted unaccounted
 */
export function takeHandlers(
  L: LuaState,
  scheduler: Scheduler,
  path: string,
): { handlers: Handlers; warning: ByteString | undefined } {
  const bearsRepetition = takeBoolean(L, scheduler, path, BEARS_REPETITION);
  const warnings: string[] = [];
  const shapes = shapesOf((kind) => {
    const { shape, failure } = takeFunction(L, scheduler, path, kind);
    if (kind === "released" && failure !== undefined) throw new ScriptError(failure);
    if (shape === "none" || bearsRepetition || !RUN_KINDS[kind].needsRepetition) return shape;
    const name = RUN_KINDS[kind][shape];
    warnings.push(`'${name}' is not called: it needs ${BEARS_REPETITION} = true`);
    return "none";
  });
  if (shapes.released === "none")
    warnings.unshift("function 'cgroup_released' not found: cgroups are deleted and not accounted");
  return {
    handlers: { ...shapes, bearsRepetition },
    warning: warnings.length > 0 ? bytesOfText(`${path}: ${warnings.join("; ")}`) : undefined,
  };
}

/** Pushes the handler that was taken; nil if there is none. */
export function pushHandler(L: LuaState, kind: RunKind): void {
  lua.lua_getfield(L, lua.LUA_REGISTRYINDEX, registryKey(kind));
}

function takeFunction(
  L: LuaState,
  scheduler: Scheduler,
  path: string,
  kind: RunKind,
): { shape: HandlerShape; failure?: ScriptFailure | undefined } {
  let failure: ScriptFailure | undefined;
  for (const shape of ["list", "one"] as const) {
    const name = RUN_KINDS[kind][shape];
    failure = pushGlobal(L, scheduler, name);
    if (lua.lua_type(L, -1) === lua.LUA_TFUNCTION) {
      lua.lua_setfield(L, lua.LUA_REGISTRYINDEX, registryKey(kind));
      return { shape };
    }
    refuseUnlessNil(L, path, name, "a function");
  }
  return { shape: "none", failure };
}

function takeBoolean(L: LuaState, scheduler: Scheduler, path: string, name: string): boolean {
  pushGlobal(L, scheduler, name);
  if (lua.lua_type(L, -1) !== lua.LUA_TBOOLEAN) {
    refuseUnlessNil(L, path, name, "a boolean");
    return false;
  }
  const value = lua.lua_toboolean(L, -1);
  lua.lua_pop(L, 1);
  return value;
}

/** Pops the value on top of the stack. @throws ScriptError unless it is nil */
function refuseUnlessNil(L: LuaState, path: string, name: string, wanted: string): void {
  const type = typeName(L, -1);
  lua.lua_pop(L, 1);
  if (type === "nil") return;
  const article = /^[aeiou]/.test(type) ? "an" : "a";
  throw new ScriptError({
    message: bytesOfText(`${path}: '${name}' is not ${wanted}, but ${article} ${type}`),
  });
}
