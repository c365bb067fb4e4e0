/** The global `pg`: connections, statements, transactions, arrays. */
import { bytesOfText } from "@cm4all/linux";
import {
  argumentError,
  checkText,
  type LuaState,
  lauxlib,
  lua,
  pushLibrary,
  pushText,
  raise,
  setFunctions,
  setLibrary,
  toBytes,
} from "../lua.ts";
import type { Runtime } from "../runtime/index.ts";
import { checkObject, newClass, pushObject } from "../userdata.ts";
import { statementArguments } from "./arguments.ts";
import { decodeArrayFunction, encodeArrayFunction } from "./array-library.ts";
import { PgConnection } from "./connection.ts";
import { Listeners } from "./listeners.ts";
import { NULL_CLASS } from "./null.ts";
import { openResult } from "./result.ts";
import { PgRun } from "./run.ts";
import { CONNECTION, pushOutcome, type Session } from "./session.ts";
import type { Outcome } from "./statement.ts";
import { openTransactions, pushTransactionMethod } from "./transaction-library.ts";
import { cutAtNul, decodeUtf8 } from "./values.ts";

/** Closes connections that scripts no longer refer to, because scripts cannot close them. */
const forgotten = new FinalizationRegistry<() => void>((close) => close());

/** The time from the end of a handler until the idle sessions of its connections are ended. */
const KEEP_MS = 1000;

function newConnection(runtime: Runtime) {
  return (L: LuaState): number => {
    if (lua.lua_gettop(L) > 3) return raise(L, "Too many parameters");
    const conninfo = cutAtNul(checkText(L, 2));
    const schema = lua.lua_isnoneornil(L, 3) ? "" : cutAtNul(checkText(L, 3));
    const listeners = new Listeners(runtime);
    const connection = new PgConnection(utf8OrAsIs(conninfo), utf8OrAsIs(schema), {
      onNotice: (text) => runtime.options.onNotice?.(bytesOfText(text)),
      onNotification: (channel, payload) => listeners.notify(channel, payload),
    });
    runtime.own(connection);
    runtime.scheduler.current?.own({ close: () => disconnectLater(connection) });
    const session: Session = { connection, listeners };
    pushObject(L, session, CONNECTION);
    forgotten.register(lua.lua_touserdata(L, -1) as object, () => {
      runtime.disown(connection);
      connection.close();
    });
    return 1;
  };
}

/** Ends the session of a connection once it is idle, which is checked every `KEEP_MS`. */
function disconnectLater(connection: PgConnection): void {
  setTimeout(() => {
    // A statement of the handler may still be under way, or the session not open yet.
    if (!connection.disconnectIfIdle()) disconnectLater(connection);
  }, KEEP_MS).unref();
}

/**
 * Returns the text decoded, or as it is if it is not UTF-8: the first statement then fails with
 * the server's error.
 */
function utf8OrAsIs(text: string): string {
  try {
    return decodeUtf8(text);
  } catch {
    return text;
  }
}

function execute(runtime: Runtime) {
  return (L: LuaState): number => {
    const { connection } = checkObject<Session>(L, 1, CONNECTION);
    const text = statementArguments(L);
    return runtime.scheduler.suspend<Outcome>(L, () => {
      const run = PgRun.of(runtime.scheduler.current);
      const push = (thread: LuaState, outcome: Outcome) => pushOutcome(thread, run, outcome);
      if ("error" in text) return { result: Promise.resolve(text), push };
      const { outcome, abandon } = connection.execute(run, text);
      return { result: outcome, push, abandon };
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

/** Adds the library `pg`. */
export function openPg(L: LuaState, runtime: Runtime): void {
  openResult(L);
  newClass(L, NULL_CLASS, {
    __tostring: (state) => {
      pushText(state, "NULL");
      return 1;
    },
  });
  lua.lua_pop(L, 1);
  openTransactions(L, runtime);

  newClass(L, CONNECTION, {});
  lua.lua_newtable(L);
  setFunctions(L, { execute: execute(runtime), listen });
  pushTransactionMethod(L, runtime);
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
