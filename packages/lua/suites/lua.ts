/**
 * Runs a Lua program as `luajit [-e CODE]... [FILE ARGUMENT...]` does, with our interpreter:
 * for test suites, some of which start the interpreter themselves. With neither a file nor `-e`, or
 * with the file `-`, the program is read from standard input.
 */
import { readFileSync } from "node:fs";
import { endStreams, LineOutput, newState, OpenFiles, writeFully } from "../src/compat/index.ts";
import { loadChunk, loadFile } from "../src/compat/load.ts";
import { fromBytes, lauxlib, lua, toBytes } from "../src/lua.ts";

const words = process.argv.slice(2);
const codes: string[] = [];
while (words[0] === "-e") codes.push(Buffer.from(words.splice(0, 2)[1] ?? "").toString("latin1"));
const [program = codes.length > 0 ? undefined : "-", ...args] = words;
const output = new LineOutput((text) => writeFully(1, text));
const files = new OpenFiles();
const L = newState({ output, files });
lua.lua_newtable(L);
for (const [i, arg] of [program ?? "", ...args].entries()) {
  lua.lua_pushstring(L, toBytes(arg));
  lua.lua_rawseti(L, -2, i);
}
// arg[-1], the command with which suites start the interpreter again.
lua.lua_pushstring(L, toBytes(`${process.execPath} ${process.argv[1]}`));
lua.lua_rawseti(L, -2, -1);
lua.lua_setglobal(L, toBytes("arg"));
lua.lua_pushcfunction(L, (state) => {
  const message = lua.lua_tolstring(state, 1) ?? toBytes("(error object is not a string)");
  lauxlib.luaL_traceback(state, state, message, 1);
  return 1;
});
const call = (status: number, parameters: readonly string[]): number => {
  if (status !== lua.LUA_OK) return status;
  for (const arg of parameters) lua.lua_pushstring(L, toBytes(arg));
  return lua.lua_pcall(L, parameters.length, 0, 1);
};
let status = lua.LUA_OK;
for (const code of codes)
  if (status === lua.LUA_OK) status = call(loadChunk(L, code, "=(command line)"), []);
if (status === lua.LUA_OK && program === "-")
  status = call(loadChunk(L, readFileSync(0, "latin1"), "=stdin"), args);
else if (status === lua.LUA_OK && program !== undefined) status = call(loadFile(L, program), args);
endStreams(output, files);
if (status !== lua.LUA_OK) {
  writeFully(2, `luajit: ${fromBytes(lua.lua_tolstring(L, -1) ?? toBytes(""))}\n`);
  process.exitCode = 1;
}
