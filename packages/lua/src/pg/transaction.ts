import type { Outcome, StatementText } from "./statement.ts";

/** What a transaction needs of its connection. */
export interface TransactionHooks {
  run(text: StatementText): Promise<Outcome>;
  /** Gives the session back, where what is still open is rolled back. */
  end(): void;
}

/** The session, for one user alone; between `begin` and `finish` it is a transaction. */
export class Transaction {
  readonly #hooks: TransactionHooks;
  /** Statements of several coroutines go one after the other. */
  #last: Promise<unknown> = Promise.resolve();
  isOpen = true;

  constructor(hooks: TransactionHooks) {
    this.#hooks = hooks;
  }

  /** Runs a text after those before it in the transaction. */
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

  /** The end of a task that did not end its transaction. */
  close(): void {
    if (this.isOpen) void this.finish("ROLLBACK");
  }
}
