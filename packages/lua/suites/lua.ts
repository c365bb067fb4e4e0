/** A Lua program as `luajit FILE ARGUMENT...` runs it, with our interpreter: for suites. */
import { LineOutput, newState, writeFully } from "../src/compat/index.ts";
import { loadFile } from "../src/compat/load.ts";
import { fromBytes, lauxlib, lua, toBytes } from "../src/lua.ts";

const [program = "", ...args] = process.argv.slice(2);
const output = new LineOutput((text) => writeFully(1, text));
const L = newState({ output });
lua.lua_newtable(L);
for (const [i, arg] of [program, ...args].entries()) {
  lua.lua_pushstring(L, toBytes(arg));
  lua.lua_rawseti(L, -2, i);
}
// As suites run themselves again.
lua.lua_pushstring(L, toBytes(`${process.execPath} ${process.argv[1]}`));
lua.lua_rawseti(L, -2, -1);
lua.lua_setglobal(L, toBytes("arg"));
lua.lua_pushcfunction(L, (state) => {
  const message = lua.lua_tolstring(state, 1) ?? toBytes("(error object is no string)");
  lauxlib.luaL_traceback(state, state, message, 1);
  return 1;
});
let status = loadFile(L, program);
if (status === lua.LUA_OK) {
  for (const arg of args) lua.lua_pushstring(L, toBytes(arg));
  status = lua.lua_pcall(L, args.length, 0, 1);
}
output.flush();
if (status !== lua.LUA_OK) {
  writeFully(2, `${fromBytes(lua.lua_tolstring(L, -1) ?? toBytes(""))}\n`);
  process.exitCode = 1;
}
