/** Our objects that scripts hold as userdata. */
import {
  argumentError,
  type LuaFunction,
  type LuaState,
  lua,
  setFunctions,
  toBytes,
  typeName,
} from "./lua.ts";

interface Holder {
  object?: object;
  className?: string;
}

/** Makes the metatable of a class and leaves it on the stack. */
export function newClass(
  L: LuaState,
  className: string,
  metamethods: Record<string, LuaFunction>,
): void {
  lua.lua_newtable(L);
  setFunctions(L, metamethods);
  lua.lua_pushvalue(L, -1);
  lua.lua_setfield(L, lua.LUA_REGISTRYINDEX, toBytes(className));
}

/** Makes a class whose objects have methods and nothing else. */
export function newMethodClass(
  L: LuaState,
  className: string,
  methods: Record<string, LuaFunction>,
): void {
  newClass(L, className, {});
  lua.lua_newtable(L);
  setFunctions(L, methods);
  lua.lua_setfield(L, -2, toBytes("__index"));
  lua.lua_pop(L, 1);
}

/** Pushes a new userdata for an object. */
export function pushObject<T extends object>(L: LuaState, object: T, className: string): void {
  const holder = lua.lua_newuserdata(L) as Holder;
  holder.object = object;
  holder.className = className;
  lua.lua_getfield(L, lua.LUA_REGISTRYINDEX, toBytes(className));
  lua.lua_setmetatable(L, -2);
}

/** Returns the object of that class at `index`; undefined for any other value. */
export function toObject<T extends object>(
  L: LuaState,
  index: number,
  className: string,
): T | undefined {
  if (lua.lua_type(L, index) !== lua.LUA_TUSERDATA) return undefined;
  const holder = lua.lua_touserdata(L, index) as Holder;
  // The class name was set together with the object, in pushObject<T>.
  return holder.className === className ? (holder.object as T) : undefined;
}

/**
 * Returns the object of that class at `index`.
 * @throws a Lua error in the words of luaL_checkudata
 */
export function checkObject<T extends object>(L: LuaState, index: number, className: string): T {
  const object = toObject<T>(L, index, className);
  if (object !== undefined) return object;
  return argumentError(L, index, `${className} expected, got ${typeName(L, index)}`);
}
