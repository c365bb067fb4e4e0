/**
 * Sets the schema for statements that go through a pooler. Outside a transaction, each of them
 * may be executed in a different session, and a setting of a session would affect other clients,
 * too. So each statement gets a transaction of its own, in which the schema is set first.
 * @see PgBouncer, "SQL feature map for pooling modes"; PostgreSQL manual, "SET": LOCAL
 */
import type { Effects } from "../runtime/effects.ts";
import { commandsOf } from "./sql-commands.ts";
import { type Outcome, plainText, type StatementText } from "./statement.ts";

/** A session that is certain to be the same only for the duration of a transaction. */
export interface PooledSession {
  readonly inTransaction: boolean;
  /** True if the run of the current statement has failed: nothing more is sent for that run. */
  readonly isCancelled: boolean;
  /** True if the server's standard_conforming_strings is off. */
  readonly hasBackslashes: boolean;
  exchange(text: StatementText, effects: Effects | undefined): Promise<Outcome>;
}

/** Commands that end a transaction and its settings; a return to a savepoint does not. */
const ENDS = /^(?:COMMIT|END|ROLLBACK(?!(?: WORK| TRANSACTION)? TO\b)|ABORT|PREPARE TRANSACTION)\b/;
const BEGINS = /^(?:BEGIN|START TRANSACTION)\b/;

export class PooledSchema {
  readonly #set: string;
  readonly #session: PooledSession;

  constructor(schema: string, session: PooledSession) {
    this.#set = `SET LOCAL SCHEMA '${schema.replaceAll("'", "''")}'`;
    this.#session = session;
  }

  /** Runs a query string with the schema set, in a transaction of its own unless one is open. */
  async run(text: StatementText, effects: Effects | undefined): Promise<Outcome> {
    const commands = commandsOf(text.sql, this.#session.hasBackslashes);
    const [first = ""] = commands;
    if (commands.length > 1 && commands.some((each) => BEGINS.test(each) || ENDS.test(each)))
      return {
        error:
          "behind a pooler, a query string with several commands cannot begin or end a transaction: the rest of it would have another schema\n",
        cause: "script",
      };
    if (BEGINS.test(first) || ENDS.test(first)) return await this.#control(text, effects);
    if (this.#session.inTransaction) return await this.#session.exchange(text, effects);
    return await this.#inTransaction(text, effects);
  }

  /**
   * Executes a command that controls the transaction, and sets the schema if a transaction is
   * open afterwards: after BEGIN, and after AND CHAIN.
   */
  async #control(text: StatementText, effects: Effects | undefined): Promise<Outcome> {
    const outcome = await this.#session.exchange(text, effects);
    if ("error" in outcome || !this.#session.inTransaction) return outcome;
    const set = await this.#session.exchange(plainText(this.#set), undefined);
    return "error" in set ? schemaNotSet(set) : outcome;
  }

  async #inTransaction(text: StatementText, effects: Effects | undefined): Promise<Outcome> {
    const session = this.#session;
    const begun = await session.exchange(plainText(`BEGIN; ${this.#set}`), undefined);
    let outcome = "error" in begun ? schemaNotSet(begun) : undefined;
    if (outcome === undefined && !session.isCancelled)
      outcome = await session.exchange(text, effects);
    outcome ??= { error: "canceling statement due to user request\n", cause: "script" };
    // If the session was lost, no transaction is open.
    if (!session.inTransaction) return outcome;
    const end = await session.exchange(
      plainText("error" in outcome ? "ROLLBACK" : "COMMIT"),
      undefined,
    );
    return "error" in outcome || "result" in end ? outcome : end;
  }
}

function schemaNotSet(outcome: Outcome): Outcome {
  return "error" in outcome
    ? { ...outcome, error: `Failed to set schema; ${outcome.error}` }
    : outcome;
}
