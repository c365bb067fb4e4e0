/**
 * The statements and transactions that wait for the session of a connection, in the order in
 * which they were added.
 */
import type { PgRun } from "./run.ts";
import type { ServerSession } from "./server-session.ts";
import type { Failed, Outcome, StatementText } from "./statement.ts";

interface Waiting {
  /** True if the daemon was asked whether the run of this entry may begin. */
  isAsked?: boolean;
}

/** A statement; a statement without a run is our own. */
export interface Statement extends Waiting {
  readonly run: PgRun | undefined;
  readonly text: StatementText;
  settle(outcome: Outcome): void;
}

/** A transaction that waits for the session, or has it. */
export interface Lease extends Waiting {
  readonly run: PgRun;
  grant(session: ServerSession): void;
  settle(failed: Failed): void;
}

export type Entry = Statement | Lease;

export class Queue {
  #entries: Entry[] = [];

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  /** Adds an entry at the end. */
  add(entry: Entry): void {
    this.#entries.push(entry);
  }

  /** Returns the first entry, or the first one that belongs to `run`. */
  first(run?: PgRun): Entry | undefined {
    return run === undefined ? this.#entries[0] : this.#entries.find((entry) => entry.run === run);
  }

  /** Removes an entry. @returns false if it is not in the queue */
  remove(entry: Entry): boolean {
    const index = this.#entries.indexOf(entry);
    if (index === -1) return false;
    this.#entries.splice(index, 1);
    return true;
  }

  /** Removes all entries, without settling them. */
  clear(): void {
    this.#entries = [];
  }

  [Symbol.iterator](): Iterator<Entry> {
    return this.#entries.values();
  }
}
