/**
 * What the statements of one session have brought about, as far as the server's answers
 * show it: a transaction decides for all of its statements. Pure.
 *
 * Each statement that was not refused counts as an effect, also a SELECT. Asking the
 * server whether a transaction has an id would miss what is written through functions
 * into foreign tables, by dblink, or as a notification, and costs each statement more.
 */
import type { Effect, Effects } from "../runtime/effects.ts";

/** ReadyForQuery's: idle, in a transaction, in one that failed. */
export type TransactionStatus = "I" | "T" | "E";

/** A statement on its way. */
export interface Sent {
  readonly sql: string;
  /** Told what came of it; undefined if nobody wants to know. */
  readonly settle: ReturnType<Effects["sent"]> | undefined;
}

export interface Answer {
  /** The command tags that came, one for each statement in the text that was completed. */
  readonly tags: readonly string[];
  /** The server refused it, or what followed the statements of the tags. */
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

  /** Returns false if a statement that is sent now leaves nothing for good. */
  mayTakeEffect(sql: string): boolean {
    return this.inTransaction ? mayCommit(sql) : !OPENING.test(sql);
  }

  /**
   * Settles what the database's answer decides: the effect of this text, and of those before
   * it in the same transaction.
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
   * The session is gone, with which the server rolls back what was open.
   * @param sent what was under way
   * @param isRefused the server's last word was that it does not execute it
   */
  lost(sent?: Sent, isRefused = false): void {
    const isKnown = sent === undefined || isRefused || (this.inTransaction && !mayCommit(sent.sql));
    const all = sent === undefined ? this.#open : [...this.#open, sent];
    settle(all, isKnown ? "none" : "unanswered");
    this.#open = [];
    this.#status = "I";
  }
}

function settle(statements: readonly Sent[], came: Effect): void {
  for (const statement of statements) statement.settle?.(came);
}

/** Tags after which what was done is there to stay. COMMIT of a failed transaction has the tag ROLLBACK. */
const COMMIT = /^(?:COMMIT|PREPARE TRANSACTION)\b/;

/** A text that begins a transaction and does nothing else. */
const OPENING = /^\s*(?:begin|start\s+transaction)\b[\w\s,]*;?\s*$/i;

/** Tags of what changes nothing but the session. */
const OF_THE_SESSION = new Set([
  ...["BEGIN", "START TRANSACTION", "SAVEPOINT", "RELEASE", "ROLLBACK"],
  ...["SET", "RESET", "SHOW", "LISTEN", "UNLISTEN", "DISCARD ALL"],
]);

/** Of a text after which no transaction is open. ROLLBACK takes along what stands in front of it. */
function isEffective(tags: readonly string[]): boolean {
  return tags.slice(tags.lastIndexOf("ROLLBACK") + 1).some((tag) => !OF_THE_SESSION.has(tag));
}

/** COMMIT, END, PREPARE TRANSACTION. Such a word elsewhere in the text only makes us careful. */
function mayCommit(sql: string): boolean {
  return /\b(?:commit|end|prepare)\b/i.test(sql);
}

/** Procedures and DO blocks may commit what they have done so far, and fail then. */
function mayCommitByItself(sql: string): boolean {
  return /\b(?:call|do(?!\s+(?:update|nothing)\b))\b/i.test(sql);
}
