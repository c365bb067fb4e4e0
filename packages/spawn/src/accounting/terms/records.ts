/**
 * The records in the journal, as an administrator sees them and decides on them. They come from
 * the running daemon or, if none is running, from the journal's files (offline-records.ts). These
 * types cross the control socket as JSON.
 */
import type { CgroupRecord } from "@cm4all/cgroup";
import { CommandFailure, EX_DATAERR } from "@cm4all/command";
import type { ByteString } from "@cm4all/linux";

/** The state of a record. */
export type RecordCondition =
  /** Its handler will be called. */
  | "waiting"
  /** Its handler is running; if no daemon is running, the handler was interrupted. */
  | "began"
  /** Its handler is called only if an administrator retries the record. */
  | "parked";

export interface RecordSummary {
  /** The record's number in the journal: numbers ascend, and are not reused. */
  readonly number: number;
  readonly state: RecordCondition;
  /** The cgroup's id. A cgroup may have several records, one for each report. */
  readonly id?: string | undefined;
  readonly report?: number | undefined;
  /** Relative to the cgroup root. */
  readonly path?: ByteString | undefined;
  /** When the figures were read, in milliseconds since 1970. */
  readonly measuredMs?: number | undefined;
  /** Why the record is parked, or why its handler last failed; the text may come from a script. */
  readonly reason?: string | undefined;
  /** The number of times that the handler has been called since the daemon started. */
  readonly attempts?: number | undefined;
}

export interface FoundRecord {
  readonly summary: RecordSummary;
  /**
   * Undefined if the record cannot be read: the summary then has only `number`, `state` and
   * `reason`, which says why.
   */
  readonly record: CgroupRecord | undefined;
}

/** Lists records and carries out an administrator's decisions. */
export interface AccountingRecords {
  /**
   * Returns up to `limit` records with numbers above `after`, oldest first. Only an empty result
   * marks the end: a result with fewer than `limit` records may be followed by more.
   */
  list(after: number, limit: number): Promise<RecordSummary[]>;
  /**
   * Returns the record with this number, or all records of the cgroup with this id, oldest
   * first; an empty list if there is none.
   */
  find(idOrNumber: string): Promise<FoundRecord[]>;
  /**
   * Makes the daemon call the handlers of parked records again, and returns the number of these
   * records. `"all"` leaves out those that cannot be retried.
   * @throws RecordRefused if one of the records cannot be retried; then none is retried
   */
  retry(numbers: readonly number[] | "all"): Promise<number>;
  /**
   * Drops records from the journal without accounting them, and returns how many.
   * @throws RecordRefused if one of the records cannot be dropped now; then none is dropped
   */
  drop(numbers: readonly number[]): Promise<number>;
}

/** A decision of an administrator that is refused; the message names the record and says why. */
export class RecordRefused extends CommandFailure {
  constructor(number: number, reason: string) {
    super(`record ${number} ${reason}`, EX_DATAERR);
  }
}
