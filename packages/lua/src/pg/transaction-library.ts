/** `db:transaction`, and the transactions that scripts get from it. */
import { loadChunk } from "../compat/load.ts";
import { type LuaState, lua, pushFailure, raise, toText } from "../lua.ts";
import type { Runtime } from "../runtime/index.ts";
import { checkObject, newMethodClass, pushObject } from "../userdata.ts";
import { statementArguments } from "./arguments.ts";
import { PgRun } from "./run.ts";
import { CONNECTION, pushOutcome, type Session } from "./session.ts";
import type { Outcome } from "./statement.ts";
import type { Transaction } from "./transaction.ts";

const TRANSACTION = "pg.Transaction";

/**
 * Makes the function with which `transaction` waits for the session and sends BEGIN. That function
 * returns the transaction.
 */
function begin(runtime: Runtime) {
  return (L: LuaState): number => {
    const { connection } = checkObject<Session>(L, 1, CONNECTION);
    const task = runtime.scheduler.current;
    const run = PgRun.of(task);
    return runtime.scheduler.suspend(L, () => {
      const { granted, abandon } = connection.lease(run);
      let begun: Transaction | undefined;
      return {
        // A transaction that has begun is rolled back before other runs get the session.
        abandon: () => (begun === undefined ? abandon() : begun.close()),
        result: granted.then(async (transaction) => {
          if ("error" in transaction) return transaction;
          begun = transaction;
          const outcome = await transaction.execute({ sql: "BEGIN", parameters: undefined });
          if ("error" in outcome) {
            transaction.close();
            return outcome;
          }
          return transaction;
        }),
        push: (thread, transaction) => {
          if ("error" in transaction) return pushOutcome(thread, run, transaction);
          task?.own(transaction);
          pushObject<Transaction>(thread, transaction, TRANSACTION);
          return 1;
        },
      };
    });
  };
}

/** Makes the function with which `transaction` sends COMMIT or ROLLBACK. */
function finish(runtime: Runtime) {
  return (L: LuaState): number => {
    const transaction = checkObject<Transaction>(L, 1, TRANSACTION);
    const run = PgRun.of(runtime.scheduler.current);
    const command = lua.lua_toboolean(L, 2) ? "COMMIT" : "ROLLBACK";
    return runtime.scheduler.suspend<Outcome>(L, () => ({
      result: transaction.finish(command),
      push: (thread, outcome) => {
        // The server answers COMMIT with ROLLBACK if an earlier statement has failed.
        if (command === "COMMIT" && "result" in outcome && outcome.result.command === "ROLLBACK")
          return pushFailure(thread, "the transaction was rolled back: a statement in it failed\n");
        return pushOutcome(thread, run, outcome);
      },
    }));
  };
}

function executeInTransaction(runtime: Runtime) {
  return (L: LuaState): number => {
    const transaction = checkObject<Transaction>(L, 1, TRANSACTION);
    if (!transaction.isOpen) return raise(L, "the transaction has ended");
    const text = statementArguments(L);
    const run = PgRun.of(runtime.scheduler.current);
    return runtime.scheduler.suspend<Outcome>(L, () => ({
      result: "error" in text ? Promise.resolve(text) : transaction.execute(text),
      push: (thread, outcome) => pushOutcome(thread, run, outcome),
    }));
  };
}

/** `transaction` is written in Lua, so that the function that it calls with `pcall` may wait. */
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

/** Makes the class of transactions. */
export function openTransactions(L: LuaState, runtime: Runtime): void {
  newMethodClass(L, TRANSACTION, { execute: executeInTransaction(runtime) });
}

/** Pushes the method `transaction` of connections. */
export function pushTransactionMethod(L: LuaState, runtime: Runtime): void {
  if (loadChunk(L, TRANSACTION_SOURCE, "=[pg]") !== lua.LUA_OK)
    throw new Error(String(toText(L, -1)));
  lua.lua_pushcfunction(L, begin(runtime));
  lua.lua_pushcfunction(L, finish(runtime));
  lua.lua_call(L, 2, 1);
}
