import type { Outcome, StatementText } from "./statement.ts";

/** The part of a connection that a transaction needs. */
export interface TransactionHooks {
  run(text: StatementText): Promise<Outcome>;
  /** Gives the session back; a transaction that is still open is rolled back. */
  end(): void;
}

/** The exclusive use of a session, from before BEGIN until after COMMIT or ROLLBACK. */
export class Transaction {
  readonly #hooks: TransactionHooks;
  /** Settled with the last statement: the statements of several coroutines are sent in turn. */
  #last: Promise<unknown> = Promise.resolve();
  isOpen = true;

  constructor(hooks: TransactionHooks) {
    this.#hooks = hooks;
  }

  /** Runs a query string after all earlier ones of the transaction. */
  execute(text: StatementText): Promise<Outcome> {
    const outcome = this.#last.then(() => this.#hooks.run(text));
    this.#last = outcome;
    return outcome;
  }

  /** Sends COMMIT or ROLLBACK and gives the session back. */
  async finish(command: "COMMIT" | "ROLLBACK"): Promise<Outcome> {
    if (!this.isOpen) return { error: "the transaction has ended", cause: "script" };
    this.isOpen = false;
    const outcome = await this.execute({ sql: command, parameters: undefined });
    this.#hooks.end();
    return outcome;
  }

  /** Rolls the transaction back if it is still open. */
  close(): void {
    if (this.isOpen) void this.finish("ROLLBACK");
  }
}
