/** The `os` library. */
import { randomBytes } from "node:crypto";
import { closeSync, lstatSync, openSync, renameSync, rmdirSync, unlinkSync } from "node:fs";
import { bytesOfLatin1, environmentVariable, SyscallError } from "@cm4all/linux";
import {
  checkText,
  type LuaState,
  lauxlib,
  lua,
  optText,
  pushByteString,
  pushFailure,
  pushLibrary,
  pushText,
  pushValue,
  raise,
  setLibrary,
  toBytes,
} from "../lua.ts";
import { spend } from "./budget.ts";
import type { EffectGate } from "./effect-gate.ts";
import { truncate } from "./numbers.ts";
import type { OpenFiles } from "./open-files.ts";
import type { LineOutput } from "./output.ts";
import { Pieces } from "./pieces.ts";
import { cText, runShell } from "./shell.ts";
import { endStreams } from "./streams.ts";
import { systemErrorNumber, systemErrorText } from "./system-error.ts";
import type { BrokenDownTime } from "./time/calendar.ts";
import { type DateFields, localSeconds } from "./time/local-seconds.ts";
import { strftime } from "./time/strftime.ts";
import { systemZone } from "./time/system-zone.ts";

/** Runs a file operation and pushes true, or nil, a message and an error number. */
export function pushFileResult(
  L: LuaState,
  path: string | undefined,
  operation: () => void,
): number {
  try {
    operation();
    lua.lua_pushboolean(L, true);
    return 1;
  } catch (error) {
    const text = systemErrorText(error);
    pushFailure(L, path === undefined ? text : `${path}: ${text}`);
    lua.lua_pushnumber(L, systemErrorNumber(error));
    return 3;
  }
}

const path = (text: string): Buffer => Buffer.from(text, "latin1");

/** Performs a file operation, which has an effect outside the process. */
function change(gate: EffectGate, L: LuaState, name: string, operation: () => void): number {
  return gate(L, (taken) =>
    pushFileResult(L, name, () => {
      operation();
      taken?.();
    }),
  );
}

function remove(gate: EffectGate) {
  return (L: LuaState): number => {
    const name = checkText(L, 1);
    return change(gate, L, name, () => {
      if (lstatSync(path(name)).isDirectory()) rmdirSync(path(name));
      else unlinkSync(path(name));
    });
  };
}

function rename(gate: EffectGate) {
  return (L: LuaState): number => {
    const from = checkText(L, 1);
    const to = checkText(L, 2);
    return change(gate, L, from, () => renameSync(path(from), path(to)));
  };
}

/** Creates a file and pushes its name, as LuaJIT does with mkstemp(3). */
function tmpname(gate: EffectGate) {
  return (L: LuaState): number =>
    gate(L, (taken) => {
      const name = `/tmp/lua_${randomBytes(4).toString("hex")}`;
      closeSync(openSync(name, "wx", 0o600));
      taken?.();
      pushText(L, name);
      return 1;
    });
}

/** The status that system(3) returns if the shell cannot be started. */
const NO_SHELL = 127 << 8;

/** Runs a command, and pushes what system(3) returns: the exit status is in the second byte. */
function execute(gate: EffectGate) {
  return (L: LuaState): number => {
    const command = optText(L, 1, undefined);
    if (command === undefined) {
      lua.lua_pushnumber(L, 1);
      return 1;
    }
    return gate(L, (taken) => {
      lua.lua_pushnumber(L, shellStatus(command, taken));
      return 1;
    });
  };
}

function shellStatus(command: string, taken: (() => void) | undefined): number {
  try {
    const reason = runShell(command, { stdin: "null", stdout: 1 });
    taken?.();
    return reason.kind === "exited" ? reason.status << 8 : reason.signal;
  } catch (error) {
    if (error instanceof SyscallError) return NO_SHELL;
    throw error;
  }
}

function exit(output: LineOutput, files: OpenFiles) {
  return (L: LuaState): number => {
    const code =
      lua.lua_type(L, 1) === lua.LUA_TBOOLEAN
        ? Number(!lua.lua_toboolean(L, 1))
        : lauxlib.luaL_optinteger(L, 1, 0);
    endStreams(output, files);
    process.exit(code & 0xff);
  };
}

function getenv(L: LuaState): number {
  const value = environmentVariable(bytesOfLatin1(cText(checkText(L, 1))));
  if (value === undefined) lua.lua_pushnil(L);
  else pushByteString(L, value);
  return 1;
}

/** Returns the CPU time of the process, in seconds. */
function clock(L: LuaState): number {
  const { user, system } = process.cpuUsage();
  lua.lua_pushnumber(L, (user + system) / 1e6);
  return 1;
}

function difftime(L: LuaState): number {
  const later = lauxlib.luaL_checknumber(L, 1);
  lua.lua_pushnumber(L, later - (lua.lua_isnoneornil(L, 2) ? 0 : lauxlib.luaL_checknumber(L, 2)));
  return 1;
}

function time(L: LuaState): number {
  if (lua.lua_isnoneornil(L, 1)) {
    lua.lua_pushnumber(L, Math.floor(Date.now() / 1000));
    return 1;
  }
  lauxlib.luaL_checktype(L, 1, lua.LUA_TTABLE);
  lua.lua_settop(L, 1);
  const fields: DateFields = {
    second: field(L, "sec", 0),
    minute: field(L, "min", 0),
    hour: field(L, "hour", 12),
    day: field(L, "day"),
    month: field(L, "month"),
    year: field(L, "year"),
    isDst: isDstField(L),
  };
  const seconds = localSeconds(systemZone(), fields);
  // mktime(3) returns -1 on failure, although -1 is also the last second of 1969.
  if (seconds === undefined || seconds === -1) lua.lua_pushnil(L);
  else lua.lua_pushnumber(L, seconds);
  return 1;
}

function isDstField(L: LuaState): boolean | undefined {
  const type = lua.lua_getfield(L, 1, toBytes("isdst"));
  const isDst = lua.lua_toboolean(L, -1);
  lua.lua_pop(L, 1);
  return type === lua.LUA_TNIL ? undefined : isDst;
}

function field(L: LuaState, name: string, otherwise?: number): number {
  lua.lua_getfield(L, 1, toBytes(name));
  const n = lua.lua_tonumberx(L, -1);
  lua.lua_pop(L, 1);
  if (n !== false) return truncate(n);
  if (otherwise !== undefined) return otherwise;
  return raise(L, `field '${name}' missing in date table`);
}

function date(L: LuaState): number {
  const text = optText(L, 1, "%c");
  const seconds = lua.lua_isnoneornil(L, 2)
    ? Math.floor(Date.now() / 1000)
    : Math.trunc(lauxlib.luaL_checknumber(L, 2));
  const utc = text.startsWith("!");
  const format = utc ? text.slice(1) : text;
  const zone = systemZone();
  const t = utc ? zone.universal(seconds) : zone.local(seconds);
  if (t === undefined) lua.lua_pushnil(L);
  else if (format === "*t") pushDate(L, t);
  else {
    spend(L, format.length);
    const pieces = new Pieces();
    strftime(format, t, secondsOf, (piece) => pieces.add(piece));
    pushText(L, pieces.toString());
  }
  return 1;
}

/** Returns what mktime(3) returns for a local time: the value of `%s`. */
function secondsOf(time: BrokenDownTime): number {
  return localSeconds(systemZone(), time) ?? -1;
}

function pushDate(L: LuaState, t: BrokenDownTime): void {
  lua.lua_newtable(L);
  const fields = {
    sec: t.second,
    min: t.minute,
    hour: t.hour,
    day: t.day,
    month: t.month,
    year: t.year,
    wday: t.weekday + 1,
    yday: t.yearday,
    isdst: t.isDst,
  };
  for (const [name, value] of Object.entries(fields)) {
    pushValue(L, value);
    lua.lua_setfield(L, -2, toBytes(name));
  }
}

/** Accepts the C locale only. */
function setlocale(L: LuaState): number {
  const name = optText(L, 1, undefined);
  if (name === undefined || name === "" || name === "C" || name === "POSIX") pushText(L, "C");
  else lua.lua_pushnil(L);
  return 1;
}

/** Adds the library `os`. @param gate is asked before anything outside the process changes */
export function openOs(L: LuaState, output: LineOutput, gate: EffectGate, files: OpenFiles): void {
  pushLibrary(L, {
    clock,
    date,
    difftime,
    execute: execute(gate),
    exit: exit(output, files),
    getenv,
    remove: remove(gate),
    rename: rename(gate),
    setlocale,
    time,
    tmpname: tmpname(gate),
  });
  setLibrary(L, "os");
}
