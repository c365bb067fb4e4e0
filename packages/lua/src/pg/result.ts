/** The results of statements. */
import { argumentError, type LuaState, lua, optText, pushText, raise, toBytes } from "../lua.ts";
import { checkObject, newMethodClass, pushObject } from "../userdata.ts";
import type { ResultSet } from "./statement.ts";
import { encodeUtf8 } from "./values.ts";

const RESULT = "pg.Result";

/** Commands that report how many rows they have changed. */
const CHANGING = new Set(["INSERT", "UPDATE", "DELETE", "MERGE"]);

class Result {
  readonly #set: ResultSet;
  /** Column names as Lua strings. */
  readonly columns: string[];
  #next = 0;

  constructor(set: ResultSet) {
    this.#set = set;
    this.columns = set.columns.map(encodeUtf8);
  }

  get affected(): number | undefined {
    return CHANGING.has(this.#set.command ?? "") ? this.#set.affected : undefined;
  }

  get hasRow(): boolean {
    return this.#next < this.#set.rows.length;
  }

  takeRow(): (string | null)[] {
    const row = this.#set.rows[this.#next] ?? [];
    // Rows that were fetched are not kept.
    this.#set.rows[this.#next++] = [];
    return row;
  }

  close(): void {
    this.#set.rows.length = 0;
  }
}

type Mode = "a" | "n";

function modeArgument(L: LuaState, index: number): Mode {
  const mode = optText(L, index, "a");
  return mode === "a" || mode === "n" ? mode : argumentError(L, index, "Bad mode");
}

/** Puts the next row into the table at `index`, with column names or numbers as keys. */
function fill(L: LuaState, index: number, result: Result, mode: Mode): void {
  for (const [i, value] of result.takeRow().entries()) {
    if (mode === "a") pushText(L, result.columns[i] ?? "");
    else lua.lua_pushnumber(L, i + 1);
    if (value === null) lua.lua_pushnil(L);
    else pushText(L, encodeUtf8(value));
    lua.lua_settable(L, index);
  }
}

function fetch(L: LuaState): number {
  const result = checkObject<Result>(L, 1, RESULT);
  if (!result.hasRow) return 0;
  const mode = modeArgument(L, 3);
  if (lua.lua_gettop(L) === 1) {
    lua.lua_newtable(L);
  } else if (lua.lua_type(L, 2) !== lua.LUA_TTABLE) {
    result.takeRow();
    return raise(L, "attempt to index a nil value");
  }
  fill(L, 2, result, mode);
  lua.lua_pushvalue(L, 2);
  return 1;
}

/** Returns an iterator over the remaining rows, each in a table of its own. */
function rows(L: LuaState): number {
  const result = checkObject<Result>(L, 1, RESULT);
  const mode = modeArgument(L, 2);
  lua.lua_pushcfunction(L, (caller) => {
    if (!result.hasRow) return 0;
    lua.lua_settop(caller, 0);
    lua.lua_newtable(caller);
    fill(caller, 1, result, mode);
    return 1;
  });
  return 1;
}

function affected(L: LuaState): number {
  const count = checkObject<Result>(L, 1, RESULT).affected;
  if (count === undefined) lua.lua_pushnil(L);
  else lua.lua_pushnumber(L, count);
  return 1;
}

function close(L: LuaState): number {
  checkObject<Result>(L, 1, RESULT).close();
  return 0;
}

/** Makes the class of results. */
export function openResult(L: LuaState): void {
  newMethodClass(L, RESULT, { affected, close, fetch, rows });
  lua.lua_getfield(L, lua.LUA_REGISTRYINDEX, toBytes(RESULT));
  lua.lua_pushcfunction(L, close);
  lua.lua_setfield(L, -2, toBytes("__gc"));
  lua.lua_pop(L, 1);
}

/** Pushes a result. If a script does not close it, its rows are freed together with it. */
export function pushResult(L: LuaState, set: ResultSet): void {
  pushObject(L, new Result(set), RESULT);
}
