/** The globals `socket` and `control_resolve`. */
import {
  connect,
  type Fd,
  SO_SNDTIMEO,
  SOCK_DGRAM,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  send,
  setTimeoutOption,
  socket,
} from "@cm4all/linux";
import { systemErrorText } from "../compat/system-error.ts";
import {
  argumentError,
  checkText,
  type LuaState,
  lauxlib,
  lua,
  pushFailure,
  pushLibrary,
  pushText,
  raise,
  setLibrary,
  toBytes,
  toText,
  typeName,
} from "../lua.ts";
import type { Runtime } from "../runtime/index.ts";
import { checkObject, newClass, newMethodClass, pushObject, toObject } from "../userdata.ts";
import type { SocketAddress } from "./address.ts";
import { ADDRESS, addressOrRaise, withAddress } from "./resolve.ts";

const SOCKET = "socket";
/** The port of the control protocol. */
export const CONTROL_PORT = 5478;
/** The time within which a peer must accept a connection, or data. */
const TIMEOUT_MS = 5000;

const TYPES = new Map([
  ["stream", SOCK_STREAM],
  ["dgram", SOCK_DGRAM],
  ["seqpacket", SOCK_SEQPACKET],
]);

/** Closes the descriptors of objects that scripts have forgotten to close. */
const forgotten = new FinalizationRegistry<() => void>((close) => close());

/** Returns a connected socket, which the caller owns, or the text of the system's error. */
export function openSocket(
  address: SocketAddress,
  type: number,
  flags = 0,
): Fd | { error: string } {
  let fd: Fd | undefined;
  try {
    fd = socket(address.domain, type, 0, flags);
    // The timeout applies to connect(2), too. @see socket(7)
    setTimeoutOption(fd.number, SO_SNDTIMEO, TIMEOUT_MS);
    connect(fd.number, address.bytes, { address: address.text });
    return fd;
  } catch (error) {
    fd?.close();
    const late = error instanceof Error && "code" in error && error.code === "EINPROGRESS";
    return { error: late ? "Connection timed out" : systemErrorText(error) };
  }
}

/**
 * Pushes an object that owns a descriptor, which is closed at the latest when the object has been
 * garbage-collected or the runtime ends.
 */
export function pushDescriptor<T extends { fd: Fd }>(
  L: LuaState,
  runtime: Runtime,
  object: T,
  className: string,
): void {
  const { fd } = object;
  runtime.own(fd);
  pushObject(L, object, className);
  forgotten.register(lua.lua_touserdata(L, -1) as object, () => {
    runtime.disown(fd);
    fd.close();
  });
}

function socketType(L: LuaState, index: number): number {
  if (lua.lua_type(L, index) === lua.LUA_TNONE) return SOCK_STREAM;
  lauxlib.luaL_checktype(L, index, lua.LUA_TTABLE);
  let type = SOCK_STREAM;
  lua.lua_pushnil(L);
  while (lua.lua_next(L, index)) {
    if (lua.lua_type(L, -2) !== lua.LUA_TSTRING) return raise(L, "Key is not a string");
    if (toText(L, -2) !== "type") return raise(L, "Unrecognized option");
    if (lua.lua_type(L, -1) !== lua.LUA_TSTRING) return raise(L, "'type' must be a string");
    const known = TYPES.get(toText(L, -1) ?? "");
    if (known === undefined) return raise(L, "Unsupported socket type");
    type = known;
    lua.lua_pop(L, 1);
  }
  return type;
}

function connectSocket(runtime: Runtime) {
  return (L: LuaState): number => {
    const count = lua.lua_gettop(L);
    if (count < 2) return raise(L, "Not enough parameters");
    if (count > 3) return raise(L, "Too many parameters");
    if (toText(L, 2) === undefined && toObject(L, 2, ADDRESS) === undefined)
      return argumentError(L, 2, `${ADDRESS} expected, got ${typeName(L, 2)}`);
    const type = socketType(L, 3);
    return withAddress(L, runtime.scheduler, 2, 0, (state, address) => {
      if ("error" in address) return pushFailure(state, address.error);
      const opened = openSocket(address, type);
      if ("error" in opened) return pushFailure(state, opened.error);
      pushDescriptor(state, runtime, { fd: opened }, SOCKET);
      return 1;
    });
  };
}

/**
 * Returns the part of `data` from the position in argument 3 to the position in argument 4. The end
 * is cut off first, so that a negative start counts from the position in argument 4.
 */
function slice(L: LuaState, data: string): string {
  let rest = data;
  const position = (index: number): number => {
    const n = lauxlib.luaL_checkinteger(L, index);
    const from = n < 0 ? rest.length + n + 1 : n;
    if (from < 1 || from > rest.length) return argumentError(L, index, "Bad string position");
    return from;
  };
  if (lua.lua_type(L, 4) !== lua.LUA_TNONE) rest = rest.slice(0, position(4));
  if (lua.lua_type(L, 3) !== lua.LUA_TNONE) rest = rest.slice(position(3) - 1);
  return rest;
}

function sendData(runtime: Runtime) {
  return (L: LuaState): number => {
    const { fd } = checkObject<{ fd: Fd }>(L, 1, SOCKET);
    const data = slice(L, checkText(L, 2));
    if (data === "" && fd.isOpen) {
      lua.lua_pushnumber(L, 0);
      return 1;
    }
    return runtime.gate(L, (taken) => {
      // The script may have closed the socket in the meantime.
      if (!fd.isOpen) return pushFailure(L, "Bad file descriptor");
      try {
        const sent = send(fd.number, toBytes(data));
        if (sent === undefined) return pushFailure(L, "Resource temporarily unavailable");
        taken?.();
        lua.lua_pushnumber(L, sent);
        return 1;
      } catch (error) {
        return pushFailure(L, systemErrorText(error));
      }
    });
  };
}

function close(runtime: Runtime) {
  return (L: LuaState): number => {
    const { fd } = checkObject<{ fd: Fd }>(L, 1, SOCKET);
    runtime.disown(fd);
    fd.close();
    return 0;
  };
}

function controlResolve(runtime: Runtime) {
  return (L: LuaState): number => {
    if (lua.lua_gettop(L) !== 1) return raise(L, "Invalid parameter count");
    checkText(L, 1);
    return withAddress(L, runtime.scheduler, 1, CONTROL_PORT, (state, address) => {
      pushObject<SocketAddress>(state, addressOrRaise(state, address), ADDRESS);
      return 1;
    });
  };
}

/** Adds the library `socket`, and `control_resolve`. */
export function openSockets(L: LuaState, runtime: Runtime): void {
  newClass(L, ADDRESS, {
    __tostring: (state) => {
      pushText(state, checkObject<SocketAddress>(state, 1, ADDRESS).text);
      return 1;
    },
  });
  lua.lua_pop(L, 1);
  newMethodClass(L, SOCKET, { send: sendData(runtime), close: close(runtime) });
  pushLibrary(L, { connect: connectSocket(runtime) });
  setLibrary(L, "socket");
  lua.lua_pushcfunction(L, controlResolve(runtime));
  lua.lua_setglobal(L, toBytes("control_resolve"));
}
