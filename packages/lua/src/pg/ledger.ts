/**
 * The effects of the statements of a session, as far as the server's answers show them: the outcome
 * of a transaction is the outcome of all its statements. Pure.
 *
 * Each statement that was not refused counts as an effect, even a SELECT; outside a transaction,
 * those that change only the session do not. Asking the server whether a transaction has an id, as
 * one that writes has, would miss notifications, and what functions write to foreign tables or
 * through dblink, and would make each statement more expensive.
 */
import type { Effect, Effects } from "../runtime/effects.ts";

/** The status in ReadyForQuery: idle, in a transaction, in a failed transaction. */
export type TransactionStatus = "I" | "T" | "E";

/** A statement that was sent. */
export interface Sent {
  readonly sql: string;
  /** Called with the statement's effect; undefined if nobody needs to know it. */
  readonly settle: ReturnType<Effects["sent"]> | undefined;
}

export interface Answer {
  /** The command tags, one for each completed statement of the query string. */
  readonly tags: readonly string[];
  /** True if the server has refused the query string, or the statement after those with a tag. */
  readonly hasFailed: boolean;
  readonly status: TransactionStatus;
}

export class Ledger {
  #status: TransactionStatus = "I";
  /** The statements of the open transaction. */
  #open: Sent[] = [];

  get inTransaction(): boolean {
    return this.#status !== "I";
  }

  /** Returns false if a statement cannot have a lasting effect when it is sent now. */
  mayTakeEffect(sql: string): boolean {
    return this.inTransaction ? mayCommit(sql) : !OPENING.test(sql);
  }

  /**
   * Notes the answer to a query string, and settles the effects that the answer decides: those of
   * this query string and of earlier ones in the same transaction.
   */
  answered(sent: Sent, { tags, hasFailed, status }: Answer): void {
    const before = this.#open;
    this.#open = [];
    this.#status = status;
    if (tags.some((tag) => COMMIT.test(tag))) settle([...before, sent], "taken");
    else if (status !== "I") this.#open = [...before, sent];
    else {
      settle(before, "none");
      if (hasFailed) settle([sent], mayCommitByItself(sent.sql) ? "unanswered" : "none");
      else settle([sent], isEffective(tags) ? "taken" : "none");
    }
  }

  /**
   * Notes that the session is lost: the server rolls back an open transaction.
   * @param sent the statement that was under way
   * @param isRefused true if the server's last message was a refusal to execute the statement
   */
  lost(sent?: Sent, isRefused = false): void {
    const isKnown =
      sent === undefined ||
      (isRefused && !mayCommitByItself(sent.sql)) ||
      (this.inTransaction && !mayCommit(sent.sql));
    const all = sent === undefined ? this.#open : [...this.#open, sent];
    settle(all, isKnown ? "none" : "unanswered");
    this.#open = [];
    this.#status = "I";
  }
}

function settle(statements: readonly Sent[], came: Effect): void {
  for (const statement of statements) statement.settle?.(came);
}

/**
 * Tags after which the changes outlast the session. COMMIT of a failed transaction has the tag
 * ROLLBACK.
 */
const COMMIT = /^(?:COMMIT|PREPARE TRANSACTION)\b/;

/** A query string that begins a transaction and does nothing else. */
const OPENING = /^\s*(?:begin|start\s+transaction)\b[\w\s,]*;?\s*$/i;

/** Tags of statements that change only the session. */
const OF_THE_SESSION = new Set([
  ...["BEGIN", "START TRANSACTION", "SAVEPOINT", "RELEASE", "ROLLBACK"],
  ...["SET", "RESET", "SHOW", "LISTEN", "UNLISTEN", "DISCARD ALL"],
]);

/**
 * Returns true if a query string has had an effect; used only if no transaction is open after it.
 * ROLLBACK undoes the statements before it.
 */
function isEffective(tags: readonly string[]): boolean {
  return tags.slice(tags.lastIndexOf("ROLLBACK") + 1).some((tag) => !OF_THE_SESSION.has(tag));
}

/**
 * Returns true if the query string may contain a COMMIT, END or PREPARE TRANSACTION. If such a word
 * has another purpose there, we are merely more careful than necessary.
 */
function mayCommit(sql: string): boolean {
  return /\b(?:commit|end|prepare)\b/i.test(sql);
}

/** Returns true for CALL and DO, whose code may commit part of its work and then fail. */
function mayCommitByItself(sql: string): boolean {
  return /\b(?:call|do(?!\s+(?:update|nothing)\b))\b/i.test(sql);
}
