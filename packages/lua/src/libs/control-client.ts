/** The global `control_client`: commands for daemons that speak the control protocol. */
import { type Fd, SOCK_DGRAM, SOCK_NONBLOCK, send } from "@cm4all/linux";
import { systemErrorText } from "../compat/system-error.ts";
import {
  argumentError,
  checkText,
  type LuaFunction,
  type LuaState,
  lua,
  pushFailure,
  pushLibrary,
  raise,
  setLibrary,
  toText,
  typeName,
} from "../lua.ts";
import type { Runtime } from "../runtime/index.ts";
import { checkObject, newMethodClass, pushObject, toObject } from "../userdata.ts";
import { CANCEL_JOB, ControlPacket, controlCommands } from "./control-packet.ts";
import { ADDRESS, withAddress } from "./resolve.ts";
import { CONTROL_PORT, openSocket, pushDescriptor } from "./socket.ts";

const CLIENT = "control_client";
const BUILDER = "control_builder";

function newClient(runtime: Runtime) {
  return (L: LuaState): number => {
    if (lua.lua_gettop(L) !== 2) return raise(L, "Invalid parameter count");
    const isObject = toObject(L, 2, ADDRESS) !== undefined;
    if (!isObject && toText(L, 2) === undefined)
      return argumentError(L, 2, `string expected, got ${typeName(L, 2)}`);
    return withAddress(L, runtime.scheduler, 2, CONTROL_PORT, (state, address) => {
      if ("error" in address) return pushFailure(state, address.error);
      const opened = openSocket(address, SOCK_DGRAM, SOCK_NONBLOCK);
      if ("error" in opened) {
        const where = isObject ? ` to ${address.text}` : "";
        return pushFailure(state, `Failed to connect${where}: ${opened.error}`);
      }
      pushDescriptor(state, runtime, { fd: opened }, CLIENT);
      return 1;
    });
  };
}

function build(L: LuaState): number {
  checkObject(L, 1, CLIENT);
  pushObject(L, new ControlPacket(), BUILDER);
  return 1;
}

function sendPacket(runtime: Runtime) {
  return (L: LuaState): number => {
    const { fd } = checkObject<{ fd: Fd }>(L, 1, CLIENT);
    if (lua.lua_gettop(L) !== 2) return raise(L, "Invalid parameter count");
    const { bytes } = checkObject<ControlPacket>(L, 2, BUILDER);
    return runtime.gate(L, (taken) => {
      try {
        if (send(fd.number, bytes) === undefined)
          return pushFailure(L, "send() failed: Resource temporarily unavailable");
        taken?.();
        lua.lua_pushboolean(L, true);
        return 1;
      } catch (error) {
        return pushFailure(L, `send() failed: ${systemErrorText(error)}`);
      }
    });
  };
}

/** Makes a method that appends a command for each of its arguments, and returns the packet. */
function appendCommand(command: number): LuaFunction {
  return (L) => {
    const packet = checkObject<ControlPacket>(L, 1, BUILDER);
    const count = lua.lua_gettop(L);
    if (count < 2) return raise(L, "Not enough parameters");
    for (let i = 2; i <= count; i++) packet.append(command, toText(L, i) ?? "");
    lua.lua_settop(L, 1);
    return 1;
  };
}

function cancelJob(L: LuaState): number {
  const packet = checkObject<ControlPacket>(L, 1, BUILDER);
  if (lua.lua_gettop(L) !== 3) return raise(L, "Invalid parameter count");
  packet.append(CANCEL_JOB, `${checkText(L, 2)}\0${checkText(L, 3)}`);
  lua.lua_settop(L, 1);
  return 1;
}

/** Adds the library `control_client`. */
export function openControlClient(L: LuaState, runtime: Runtime): void {
  newMethodClass(L, BUILDER, {
    ...Object.fromEntries(
      Object.entries(controlCommands).map(([name, command]) => [name, appendCommand(command)]),
    ),
    cancel_job: cancelJob,
  });
  newMethodClass(L, CLIENT, { build, send: sendPacket(runtime) });
  pushLibrary(L, { new: newClient(runtime) });
  setLibrary(L, "control_client");
}
