/** The `io` library, and the methods of its files. */
import lobject from "fengari/src/lobject.js";
import {
  argumentError,
  checkText,
  type LuaFunction,
  type LuaState,
  lauxlib,
  lua,
  optText,
  pushFailure,
  pushLibrary,
  pushText,
  pushValue,
  raise,
  setFunctions,
  setLibrary,
  toBytes,
  toText,
} from "../lua.ts";
import { checkObject, newClass, pushObject, toObject } from "../userdata.ts";
import type { EffectGate } from "./effect-gate.ts";
import { type Buffering, LuaFile, type LuaStream, type Whence } from "./file.ts";
import type { OpenFiles } from "./open-files.ts";
import { pushFileResult } from "./os.ts";
import type { LineOutput } from "./output.ts";
import { popen } from "./popen.ts";
import { OutputStream, stderrOutput } from "./streams.ts";
import { systemErrorNumber, systemErrorText } from "./system-error.ts";

const FILE = "FILE*";
const CLOSED = "attempt to use a closed file";
const EINVAL = 22;
const ESPIPE = 29;

function checkFile(L: LuaState, index: number): LuaStream {
  const file = checkObject<LuaStream>(L, index, FILE);
  return file.isClosed ? raise(L, CLOSED) : file;
}

/** Returns the file that `io.read` or `io.write` uses. @throws a Lua error if it is closed */
function checkStandard(L: LuaState, file: LuaStream): LuaStream {
  return file.isClosed ? raise(L, "standard file is closed") : file;
}

/** The userdata of files, kept because a script may compare files. */
const userdata = new WeakMap<LuaStream, unknown>();
const LUA_TUSERDATA = 7;

function pushFile(L: LuaState, file: LuaStream): void {
  const known = userdata.get(file);
  if (known === undefined) {
    pushObject<LuaStream>(L, file, FILE);
    userdata.set(file, L.stack[L.top - 1]?.value);
    return;
  }
  lua.lua_pushnil(L);
  L.stack[L.top - 1]?.setfrom(new lobject.TValue(LUA_TUSERDATA, known));
}

/** Performs an operation on a file; system errors are returned to the script, not raised. */
function attempt(L: LuaState, path: string | undefined, operation: () => number): number {
  try {
    return operation();
  } catch (error) {
    if (!(error instanceof Error) || !("code" in error)) throw error;
    const text = systemErrorText(error);
    pushFailure(L, path === undefined ? text : `${path}: ${text}`);
    lua.lua_pushnumber(L, systemErrorNumber(error));
    return 3;
  }
}

function open(gate: EffectGate, files: OpenFiles) {
  return (L: LuaState): number => {
    const path = checkText(L, 1);
    const mode = optText(L, 2, "r");
    if (!/^[rwa]\+?b?$/.test(mode)) {
      pushFailure(L, `${path}: Invalid argument`);
      lua.lua_pushnumber(L, EINVAL);
      return 3;
    }
    const perform = (taken?: () => void) =>
      attempt(L, path, () => {
        pushFile(L, files.own(LuaFile.open(Buffer.from(path, "latin1"), mode)));
        taken?.();
        return 1;
      });
    return /^rb?$/.test(mode) ? perform() : gate(L, perform);
  };
}

function openPipe(gate: EffectGate, files: OpenFiles) {
  return (L: LuaState): number => {
    const command = checkText(L, 1);
    const mode = optText(L, 2, "r");
    if (mode !== "r" && mode !== "w") {
      pushFailure(L, `${command}: Invalid argument`);
      lua.lua_pushnumber(L, EINVAL);
      return 3;
    }
    return gate(L, (taken) =>
      attempt(L, command, () => {
        pushFile(L, files.own(popen(command, mode)));
        taken?.();
        return 1;
      }),
    );
  };
}

function type(L: LuaState): number {
  lauxlib.luaL_checkany(L, 1);
  const file = toObject<LuaStream>(L, 1, FILE);
  if (file === undefined) lua.lua_pushnil(L);
  else pushText(L, file.isClosed ? "closed file" : "file");
  return 1;
}

/**
 * Pushes a value for each format from argument `first` on. At the end of the file, pushes nil and
 * ignores the remaining formats.
 */
function readFormats(L: LuaState, file: LuaStream, first: number): number {
  const last = lua.lua_gettop(L);
  if (last < first) return pushRead(L, file.readLine());
  let count = 0;
  for (let i = first; i <= last; i++) {
    lauxlib.luaL_checkstack(L, 1, "too many arguments");
    count++;
    if (!readFormat(L, file, i)) break;
  }
  return count;
}

function readFormat(L: LuaState, file: LuaStream, index: number): boolean {
  if (lua.lua_type(L, index) === lua.LUA_TNUMBER)
    return pushRead(L, file.read(lauxlib.luaL_checkinteger(L, index))) > 0 && !isNil(L);
  const [letter] = checkText(L, index).replace(/^\*/, "");
  switch (letter) {
    case "l":
    case "L":
      pushRead(L, file.readLine(letter === "L"));
      break;
    case "a":
      pushText(L, file.readAll());
      break;
    case "n": {
      const n = file.readNumber();
      if (n === undefined) lua.lua_pushnil(L);
      else lua.lua_pushnumber(L, n);
      break;
    }
    default:
      return argumentError(L, index, "invalid format");
  }
  return !isNil(L);
}

function isNil(L: LuaState): boolean {
  return lua.lua_type(L, -1) === lua.LUA_TNIL;
}

function pushRead(L: LuaState, text: string | undefined): number {
  if (text === undefined) lua.lua_pushnil(L);
  else pushText(L, text);
  return 1;
}

function writeArguments(gate: EffectGate, L: LuaState, file: LuaStream, first: number): number {
  const texts: string[] = [];
  for (let i = first; i <= lua.lua_gettop(L); i++) texts.push(toText(L, i) ?? checkText(L, i));
  return change(gate, L, file, (isWatched) => {
    for (const text of texts) file.write(text);
    // A handler that succeeded is not called again, so none of its output may stay in the buffer.
    if (isWatched) file.flush();
  });
}

/** Performs an operation that may write; pushes true, or nil, a message and an error number. */
function change(
  gate: EffectGate,
  L: LuaState,
  file: LuaStream,
  operation: (isWatched: boolean) => void,
): number {
  const perform = (taken?: () => void) => {
    const before = file.effectCount;
    const count = pushFileResult(L, undefined, () => operation(taken !== undefined));
    if (file.effectCount > before) taken?.();
    return count;
  };
  return file.takesEffect ? gate(L, perform) : perform();
}

/**
 * Pushes an iterator that reads the file in the formats given from argument 2 on.
 * @param closeAtEnd true if the iterator closes the file at its end, as in `io.lines(path)`
 */
function pushLines(L: LuaState, file: LuaStream, closeAtEnd: boolean): number {
  const formats: (string | number)[] = [];
  for (let i = 2; i <= lua.lua_gettop(L); i++)
    formats.push(lua.lua_type(L, i) === lua.LUA_TNUMBER ? lua.lua_tonumber(L, i) : checkText(L, i));
  lua.lua_pushcfunction(L, (state) => {
    if (file.isClosed) return raise(state, CLOSED);
    lua.lua_settop(state, 0);
    for (const format of formats) pushValue(state, format);
    const count = readForLoop(state, file);
    const isEnd = lua.lua_type(state, lua.lua_gettop(state) - count + 1) === lua.LUA_TNIL;
    if (!closeAtEnd || !isEnd) return count;
    file.close();
    return 0;
  });
  return 1;
}

/**
 * Reads for a loop. System errors are raised: if they were returned, the loop would take them for
 * the end of the file.
 */
function readForLoop(L: LuaState, file: LuaStream): number {
  try {
    return readFormats(L, file, 1);
  } catch (error) {
    if (!(error instanceof Error) || !("code" in error)) throw error;
    return raise(L, systemErrorText(error));
  }
}

function closeFile(gate: EffectGate, L: LuaState, file: LuaStream): number {
  if (file.isStandard) return pushFailure(L, "cannot close standard file");
  return change(gate, L, file, () => file.close());
}

const BUFFERING: Buffering[] = ["no", "full", "line"];
const WHENCE: Whence[] = ["set", "cur", "end"];

const methods = (gate: EffectGate): Record<string, LuaFunction> => ({
  close: (L) => closeFile(gate, L, checkFile(L, 1)),
  flush: (L) => {
    const file = checkFile(L, 1);
    return change(gate, L, file, () => file.flush());
  },
  lines: (L) => pushLines(L, checkFile(L, 1), false),
  read: (L) => {
    const file = checkFile(L, 1);
    return attempt(L, undefined, () => readFormats(L, file, 2));
  },
  seek: (L) => {
    const file = checkFile(L, 1);
    const name = optText(L, 2, "cur");
    const whence = WHENCE.find((known) => known === name);
    if (whence === undefined) return argumentError(L, 2, `invalid option '${name}'`);
    const offset = lauxlib.luaL_optinteger(L, 3, 0);
    return attempt(L, undefined, () => {
      const position = file.seek(whence, offset);
      if (position === "invalid") {
        pushFailure(L, "Invalid argument");
        lua.lua_pushnumber(L, EINVAL);
        return 3;
      }
      if (position === undefined) {
        pushFailure(L, "Illegal seek");
        lua.lua_pushnumber(L, ESPIPE);
        return 3;
      }
      lua.lua_pushnumber(L, position);
      return 1;
    });
  },
  setvbuf: (L) => {
    const file = checkFile(L, 1);
    const name = checkText(L, 2);
    const mode = BUFFERING.find((known) => known === name);
    if (mode === undefined) return argumentError(L, 2, `invalid option '${name}'`);
    file.setBuffering(mode);
    lua.lua_pushboolean(L, true);
    return 1;
  },
  write: (L) => writeArguments(gate, L, checkFile(L, 1), 2),
  __gc: (L) => closeFile(gate, L, checkObject<LuaStream>(L, 1, FILE)),
  __tostring: (L) => {
    const file = checkObject<LuaStream>(L, 1, FILE);
    const { id } = lua.lua_topointer(L, 1) as { id: number };
    pushText(L, file.isClosed ? "file (closed)" : `file (0x${id.toString(16).padStart(8, "0")})`);
    return 1;
  },
});

/** Adds the library `io`. @param opened keeps the files that scripts leave open */
export function openIo(L: LuaState, output: LineOutput, gate: EffectGate, opened: OpenFiles): void {
  const fileMethods = methods(gate);
  newClass(L, FILE, { __tostring: fileMethods["__tostring"] as LuaFunction });
  // As in LuaJIT, the methods are in the metatable itself.
  setFunctions(L, fileMethods);
  lua.lua_pushvalue(L, -1);
  lua.lua_setfield(L, -2, toBytes("__index"));
  lua.lua_pop(L, 1);

  const files: Record<"stdin" | "stdout" | "stderr", LuaStream> = {
    stdin: new LuaFile(0, { isStandard: true }),
    stdout: new OutputStream(output),
    stderr: new OutputStream(stderrOutput),
  };
  let input = files.stdin;
  let standardOutput = files.stdout;
  pushLibrary(L, {
    open: open(gate, opened),
    popen: openPipe(gate, opened),
    type,
    tmpfile: (state) =>
      attempt(state, undefined, () => {
        pushFile(state, opened.own(LuaFile.openTemporary()));
        return 1;
      }),
    read: (state) => {
      const file = checkStandard(state, input);
      return attempt(state, undefined, () => readFormats(state, file, 1));
    },
    write: (state) => writeArguments(gate, state, checkStandard(state, standardOutput), 1),
    flush: (state) => {
      const file = checkStandard(state, standardOutput);
      return change(gate, state, file, () => file.flush());
    },
    close: (state) => {
      if (!lua.lua_isnoneornil(state, 1)) return closeFile(gate, state, checkFile(state, 1));
      if (standardOutput.isClosed) return raise(state, CLOSED);
      return closeFile(gate, state, standardOutput);
    },
    lines: (state) => {
      const path = optText(state, 1, undefined);
      if (path === undefined) return pushLines(state, input, false);
      return pushLines(state, openOrRaise(state, opened, path, "r"), true);
    },
    input: (state) => {
      input = choose(state, opened, input, "r");
      pushFile(state, input);
      return 1;
    },
    output: (state) => {
      const perform = (taken?: () => void) => {
        standardOutput = choose(state, opened, standardOutput, "w");
        taken?.();
        pushFile(state, standardOutput);
        return 1;
      };
      // With a path, `io.output` opens and truncates a file; otherwise it changes nothing outside
      // the script.
      return toText(state, 1) === undefined ? perform() : gate(state, perform);
    },
  });
  for (const [name, file] of Object.entries(files)) {
    pushFile(L, file);
    lua.lua_setfield(L, -2, toBytes(name));
  }
  setLibrary(L, "io");
}

/** Returns the file that `io.input` or `io.output` is to use from now on. */
function choose(L: LuaState, files: OpenFiles, current: LuaStream, mode: string): LuaStream {
  if (lua.lua_isnoneornil(L, 1)) return current;
  const path = toText(L, 1);
  return path === undefined ? checkFile(L, 1) : openOrRaise(L, files, path, mode);
}

function openOrRaise(L: LuaState, files: OpenFiles, path: string, mode: string): LuaStream {
  try {
    return files.own(LuaFile.open(Buffer.from(path, "latin1"), mode));
  } catch (error) {
    const message = `${path}: ${systemErrorText(error)}`;
    return argumentError(L, 1, message);
  }
}
