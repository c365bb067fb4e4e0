/**
 * The records that wait in the journal, as an administrator sees and decides on them: the
 * running daemon has them, or, while none runs, the journal's files (offline-records.ts).
 * Its types cross the control socket as JSON.
 */
import type { CgroupRecord } from "@cm4all/cgroup";
import { CommandFailure, EX_DATAERR } from "@cm4all/command";
import type { ByteString } from "@cm4all/linux";

/** What is to become of a record. */
export type RecordCondition =
  /** Its handler will be called. */
  | "waiting"
  /** Its handler runs; without a daemon: it was interrupted. */
  | "began"
  /** Its handler is not called unless an administrator says so. */
  | "parked";

export interface RecordSummary {
  /** Of the record in the journal; rising, and never used again. */
  readonly number: number;
  readonly state: RecordCondition;
  /** Of the cgroup, which may have several records, one for each report. */
  readonly id?: string | undefined;
  readonly report?: number | undefined;
  /** Below the cgroup root. */
  readonly path?: ByteString | undefined;
  /** When its figures were read, milliseconds since 1970. */
  readonly measuredMs?: number | undefined;
  /** Why it is parked, or why its handler failed last; any text, also a script's. */
  readonly reason?: string | undefined;
  /** How often its handler was called in the life of this daemon. */
  readonly attempts?: number | undefined;
}

export interface FoundRecord {
  readonly summary: RecordSummary;
  /** Undefined, as in the summary all that is in it, if it cannot be read; `reason` says why. */
  readonly record: CgroupRecord | undefined;
}

export interface AccountingRecords {
  /**
   * Returns up to `limit` records with numbers above `after`, oldest first; none if there
   * are no more. A page may have fewer than `limit` although others follow.
   */
  list(after: number, limit: number): Promise<RecordSummary[]>;
  /**
   * Returns the record of that number, or all records of the cgroup of that id, oldest
   * first; none if there is none.
   */
  find(idOrNumber: string): Promise<FoundRecord[]>;
  /**
   * Has the handlers of parked records called again, and returns of how many. `"all"`
   * leaves out those that cannot be retried.
   * @throws RecordRefused for a number that cannot be; then none is
   */
  retry(numbers: readonly number[] | "all"): Promise<number>;
  /**
   * Forgets records, and returns how many.
   * @throws RecordRefused for a number whose record cannot be dropped now; then none is
   */
  drop(numbers: readonly number[]): Promise<number>;
}

/** The administrator's word cannot be followed; the message names the record and says why. */
export class RecordRefused extends CommandFailure {
  constructor(number: number, reason: string) {
    super(`record ${number} ${reason}`, EX_DATAERR);
  }
}
