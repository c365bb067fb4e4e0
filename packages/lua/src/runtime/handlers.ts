/** What a script has defined for the daemon to call, read once after it was loaded. */
import { type ByteString, bytesOfText } from "@cm4all/linux";
import { type LuaState, lua, toBytes, typeName } from "../lua.ts";
import type { HandlerShape, Handlers, RunKind } from "../protocol.ts";
import { ScriptError } from "./script-error.ts";

/** The global functions; if both of a kind are there, the one that takes a list is called. */
const FUNCTIONS = {
  released: { list: "cgroups_released", one: "cgroup_released" },
  running: { list: "cgroups_running", one: "cgroup_running" },
} as const satisfies Record<RunKind, Record<Exclude<HandlerShape, "none">, string>>;

const BEARS_REPETITION = "handlers_bear_repetition";

const registryKey = (kind: RunKind) => toBytes(`the handler of ${kind} cgroups`);

/**
 * Takes the handlers out of the globals: assigning others later has no effect.
 * @throws ScriptError if a global is of another type
 */
export function takeHandlers(
  L: LuaState,
  path: string,
): { handlers: Handlers; warning: ByteString | undefined } {
  const bearsRepetition = takeBoolean(L, path, BEARS_REPETITION);
  const released = takeFunction(L, path, "released");
  const running = takeFunction(L, path, "running");
  const isCallable = running === "none" || bearsRepetition;
  const warnings: string[] = [];
  if (released === "none")
    warnings.push(
      "function 'cgroup_released' not found: cgroups are deleted, nothing is accounted",
    );
  if (!isCallable)
    warnings.push(
      `'${FUNCTIONS.running[running]}' is not called: it needs ${BEARS_REPETITION} = true`,
    );
  return {
    handlers: { released, running: isCallable ? running : "none", bearsRepetition },
    warning: warnings.length > 0 ? bytesOfText(`${path}: ${warnings.join("; ")}`) : undefined,
  };
}

/** Pushes the function that was taken. */
export function pushHandler(L: LuaState, kind: RunKind): void {
  lua.lua_getfield(L, lua.LUA_REGISTRYINDEX, registryKey(kind));
}

function takeFunction(L: LuaState, path: string, kind: RunKind): HandlerShape {
  for (const shape of ["list", "one"] as const) {
    const name = FUNCTIONS[kind][shape];
    const type = lua.lua_getglobal(L, toBytes(name));
    if (type === lua.LUA_TFUNCTION) {
      lua.lua_setfield(L, lua.LUA_REGISTRYINDEX, registryKey(kind));
      return shape;
    }
    refuseUnlessNil(L, path, name, "a function");
  }
  return "none";
}

function takeBoolean(L: LuaState, path: string, name: string): boolean {
  const type = lua.lua_getglobal(L, toBytes(name));
  if (type !== lua.LUA_TBOOLEAN) {
    refuseUnlessNil(L, path, name, "a boolean");
    return false;
  }
  const value = lua.lua_toboolean(L, -1);
  lua.lua_pop(L, 1);
  return value;
}

/** Pops the value. */
function refuseUnlessNil(L: LuaState, path: string, name: string, wanted: string): void {
  const type = typeName(L, -1);
  lua.lua_pop(L, 1);
  if (type === "nil") return;
  const article = /^[aeiou]/.test(type) ? "an" : "a";
  throw new ScriptError({
    message: bytesOfText(`${path}: '${name}' is not ${wanted}, but ${article} ${type}`),
  });
}
