/** The global `pg`: connections, statements, transactions, arrays. */
import { loadChunk } from "../compat/load.ts";
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
  setFunctions,
  setLibrary,
  toBytes,
  toText,
  typeName,
} from "../lua.ts";
import type { Runtime } from "../runtime/index.ts";
import { checkObject, newClass, newMethodClass, pushObject } from "../userdata.ts";
import { decodeArrayFunction, encodeArrayFunction } from "./array-library.ts";
import { PgConnection, type Transaction } from "./connection.ts";
import { Listeners } from "./listeners.ts";
import { isNull, NULL_CLASS } from "./null.ts";
import { openResult, pushResult } from "./result.ts";
import type { Outcome, StatementText } from "./statement.ts";
import { cutAtNul, decodeUtf8, encodeUtf8, InvalidUtf8, numberToParameter } from "./values.ts";

const CONNECTION = "pg.Connection";
const TRANSACTION = "pg.Transaction";

interface Session {
  connection: PgConnection;
  listeners: Listeners;
}

/** Scripts forget a connection without closing it: there is no `close`. */
const forgotten = new FinalizationRegistry<() => void>((close) => close());

/** How long a handler's own connection is kept for the next handler. */
const KEEP_MS = 1000;

function newConnection(runtime: Runtime) {
  return (L: LuaState): number => {
    if (lua.lua_gettop(L) > 3) return raise(L, "Too many parameters");
    const conninfo = cutAtNul(checkText(L, 2));
    const schema = lua.lua_isnoneornil(L, 3) ? "" : cutAtNul(checkText(L, 3));
    const listeners = new Listeners(runtime);
    const connection = new PgConnection(utf8OrAsIs(conninfo), utf8OrAsIs(schema), {
      onNotice: (text) => runtime.options.onNotice?.(encodeUtf8(text)),
      onNotification: (channel, payload) => listeners.notify(channel, payload),
    });
    runtime.own(connection);
    runtime.scheduler.current?.own({
      close: () => {
        setTimeout(() => connection.disconnectIfIdle(), KEEP_MS).unref();
      },
    });
    const session: Session = { connection, listeners };
    pushObject(L, session, CONNECTION);
    forgotten.register(lua.lua_touserdata(L, -1) as object, () => {
      runtime.disown(connection);
      connection.close();
    });
    return 1;
  };
}

/** Mistakes in them surface in the first statement, as the server's. */
function utf8OrAsIs(text: string): string {
  try {
    return decodeUtf8(text);
  } catch {
    return text;
  }
}

/** The statement of arguments 2 and 3; an error message where it cannot be sent. */
function statementArguments(L: LuaState): StatementText | { error: string } {
  const count = lua.lua_gettop(L);
  if (count < 2) return raise(L, "Not enough parameters");
  if (count > 3) return raise(L, "Too many parameters");
  const sql = checkText(L, 2);
  if (count === 3) lauxlib.luaL_checktype(L, 3, lua.LUA_TTABLE);
  try {
    return {
      sql: decodeUtf8(cutAtNul(sql)),
      parameters: count === 3 ? parameters(L, 3) : undefined,
    };
  } catch (error) {
    if (error instanceof InvalidUtf8 || error instanceof UnsupportedParameter)
      return { error: error.message };
    throw error;
  }
}

class UnsupportedParameter extends Error {}

/** The elements 1 to the highest index; holes are NULL. */
function parameters(L: LuaState, index: number): (string | null)[] {
  const count = highestIndex(L, index);
  const values: (string | null)[] = [];
  for (let i = 1; i <= count; i++) {
    lua.lua_rawgeti(L, index, i);
    values.push(parameter(L));
    lua.lua_pop(L, 1);
  }
  return values;
}

/** The protocol counts parameters in 16 bits. */
const MAX_PARAMETERS = 65535;

function highestIndex(L: LuaState, index: number): number {
  let highest = 0;
  lua.lua_pushnil(L);
  while (lua.lua_next(L, index)) {
    lua.lua_pop(L, 1);
    if (lua.lua_type(L, -1) !== lua.LUA_TNUMBER) continue;
    const key = lua.lua_tonumber(L, -1);
    if (Number.isInteger(key) && key > highest) highest = key;
  }
  if (highest > MAX_PARAMETERS)
    throw new UnsupportedParameter(
      `number of parameters must be between 0 and ${MAX_PARAMETERS}\n`,
    );
  return highest;
}

function parameter(L: LuaState): string | null {
  switch (lua.lua_type(L, -1)) {
    case lua.LUA_TNIL:
      return null;
    case lua.LUA_TBOOLEAN:
      return lua.lua_toboolean(L, -1) ? "1" : "0";
    case lua.LUA_TNUMBER:
      return numberToParameter(lua.lua_tonumber(L, -1));
    case lua.LUA_TSTRING:
      return decodeUtf8(cutAtNul(toText(L, -1) ?? ""));
    default:
      if (isNull(L, -1)) return null;
      throw new UnsupportedParameter(`Unsupported query parameter type: ${typeName(L, -1)}`);
  }
}

function pushOutcome(L: LuaState, outcome: Outcome): number {
  if ("error" in outcome) return pushFailure(L, encodeUtf8(outcome.error));
  pushResult(L, outcome.result);
  return 1;
}

function execute(runtime: Runtime) {
  return (L: LuaState): number => {
    const { connection } = checkObject<Session>(L, 1, CONNECTION);
    const text = statementArguments(L);
    return runtime.scheduler.suspend<Outcome>(L, () => {
      if ("error" in text) return { result: Promise.resolve(text), push: pushOutcome };
      const { outcome, abandon } = connection.execute(text);
      return { result: outcome, push: pushOutcome, abandon };
    });
  };
}

function listen(L: LuaState): number {
  const { connection, listeners } = checkObject<Session>(L, 1, CONNECTION);
  if (lua.lua_gettop(L) < 3) return raise(L, "Not enough parameters");
  if (lua.lua_gettop(L) > 3) return raise(L, "Too many parameters");
  const channel = utf8OrAsIs(cutAtNul(checkText(L, 2)));
  lauxlib.luaL_checktype(L, 3, lua.LUA_TFUNCTION);
  if (!connection.listen(channel)) return argumentError(L, 2, "Duplicate notify name");
  listeners.add(L, channel, 3);
  return 0;
}

/** For `transaction`: waits for the session and begins. Returns the transaction. */
function begin(runtime: Runtime) {
  return (L: LuaState): number => {
    const { connection } = checkObject<Session>(L, 1, CONNECTION);
    const task = runtime.scheduler.current;
    return runtime.scheduler.suspend(L, () => {
      const { granted, abandon } = connection.lease();
      return {
        abandon,
        result: granted.then(async (transaction) => {
          if ("error" in transaction) return transaction;
          const outcome = await transaction.execute({ sql: "BEGIN", parameters: undefined });
          if ("error" in outcome) {
            transaction.close();
            return outcome;
          }
          return transaction;
        }),
        push: (thread, transaction) => {
          if ("error" in transaction) return pushFailure(thread, encodeUtf8(transaction.error));
          task?.own(transaction);
          pushObject<Transaction>(thread, transaction, TRANSACTION);
          return 1;
        },
      };
    });
  };
}

/** For `transaction`: COMMIT or ROLLBACK. */
function finish(runtime: Runtime) {
  return (L: LuaState): number => {
    const transaction = checkObject<Transaction>(L, 1, TRANSACTION);
    const command = lua.lua_toboolean(L, 2) ? "COMMIT" : "ROLLBACK";
    return runtime.scheduler.suspend<Outcome>(L, () => ({
      result: transaction.finish(command),
      push: (thread, outcome) => {
        // The server answers COMMIT with ROLLBACK where a statement failed before.
        if (command === "COMMIT" && "result" in outcome && outcome.result.command === "ROLLBACK")
          return pushFailure(thread, "the transaction was rolled back: a statement in it failed\n");
        return pushOutcome(thread, outcome);
      },
    }));
  };
}

function executeInTransaction(runtime: Runtime) {
  return (L: LuaState): number => {
    const transaction = checkObject<Transaction>(L, 1, TRANSACTION);
    if (!transaction.isOpen) return raise(L, "the transaction has ended");
    const text = statementArguments(L);
    return runtime.scheduler.suspend<Outcome>(L, () => ({
      result: "error" in text ? Promise.resolve(text) : transaction.execute(text),
      push: pushOutcome,
    }));
  };
}

/** `transaction` is shortest in Lua, where a call may wait inside of `pcall`. */
const TRANSACTION_SOURCE = `
local begin, finish = ...
local function complete(tx, ok, ...)
  if not ok then
    finish(tx, false)
    error((...), 0)
  end
  local committed, message = finish(tx, true)
  if not committed then return nil, message end
  if select("#", ...) == 0 then return true end
  return ...
end
return function(db, fn)
  if type(fn) ~= "function" then
    error("bad argument #1 to 'transaction' (function expected, got " .. type(fn) .. ")", 2)
  end
  local tx, message = begin(db)
  if not tx then return nil, message end
  return complete(tx, pcall(fn, tx))
end`;

export function openPg(L: LuaState, runtime: Runtime): void {
  openResult(L);
  newClass(L, NULL_CLASS, {
    __tostring: (state) => {
      pushText(state, "NULL");
      return 1;
    },
  });
  lua.lua_pop(L, 1);
  newMethodClass(L, TRANSACTION, { execute: executeInTransaction(runtime) });

  newClass(L, CONNECTION, {});
  lua.lua_newtable(L);
  setFunctions(L, { execute: execute(runtime), listen });
  if (loadChunk(L, TRANSACTION_SOURCE, "=[pg]") !== lua.LUA_OK)
    throw new Error(String(toText(L, -1)));
  lua.lua_pushcfunction(L, begin(runtime));
  lua.lua_pushcfunction(L, finish(runtime));
  lua.lua_call(L, 2, 1);
  lua.lua_setfield(L, -2, toBytes("transaction"));
  lua.lua_setfield(L, -2, toBytes("__index"));
  lua.lua_pop(L, 1);

  pushLibrary(L, {
    new: newConnection(runtime),
    encode_array: encodeArrayFunction,
    decode_array: decodeArrayFunction,
  });
  pushObject(L, {}, NULL_CLASS);
  lua.lua_setfield(L, -2, toBytes("null"));
  setLibrary(L, "pg");
}
