/**
 * Settles records: marks their final state in the journal, and removes them from memory.
 *
 * Invariant: a record leaves the journal when its handler has succeeded, unless a later report
 * or the retry of an earlier one may be compared with it.
 */
import { inOneLine } from "@cm4all/command";
import { RecordState } from "@cm4all/journal";
import { LOG_ERR, type Logger } from "../../log/log.ts";
import type { DamagedRecord } from "../journal/window.ts";
import { type Entry, nameOf } from "./entry.ts";

/** The methods of the journal that the queue needs. */
export interface RecordStates {
  state(number: number): RecordState | undefined;
  /**
   * Sets a record's state.
   * @throws (rejects) if the journal is closed: the next run of the daemon then finds the old state
   */
  mark(number: number, state: RecordState, note?: string): Promise<void>;
  /**
   * Sets a record's state together with the next write, or soon if no other write comes.
   * @throws (rejects) as `mark`
   */
  markLater(number: number, state: RecordState): Promise<void>;
  /** Marks records as begun. @throws (rejects) as `mark`, or if the disk goes on refusing writes */
  begin(numbers: readonly number[]): Promise<void>;
}

export interface SettlementParts {
  readonly journal: Pick<RecordStates, "state" | "mark" | "markLater">;
  /** Returns whether a record's directory still exists: the cgroup may then be reported again. */
  readonly isKept: (number: number) => boolean;
  readonly log: Logger;
  /** Removes a record from memory. */
  readonly forget: (entry: Entry) => void;
}

/** The length, in UTF-16 units, to which a reason is cut for the journal. */
const MAX_NOTE = 1000;

export class Settlement {
  readonly #parts: SettlementParts;
  /**
   * The number of a report that was handed over, by the number of the later report of the same
   * cgroup.
   */
  readonly #earlier = new Map<number, number>();
  readonly counts = { accountedCgroups: 0, supersededReports: 0, lostCgroups: 0 };

  constructor(parts: SettlementParts) {
    this.#parts = parts;
  }

  /** Notes that a record follows an earlier one, of the same cgroup, that was handed over. */
  follows(number: number, earlier: number): void {
    this.#earlier.set(number, earlier);
  }

  /** Forgets the earlier record that a record follows. */
  forget({ number }: Entry): void {
    this.#earlier.delete(number);
  }

  /**
   * Settles records whose handler has returned without an error.
   * @param hasBegun true if the records are marked as begun. They are then settled immediately:
   *   if the daemon were killed before that, it would park them at its next start. Records that are
   *   not marked may be settled later: the next start would hand them over again, which does no
   *   harm.
   */
  accounted(group: readonly Entry[], hasBegun: boolean): void {
    this.counts.accountedCgroups += group.length;
    for (const entry of group) {
      const state = this.#isRemembered(entry) ? RecordState.ACCOUNTED : RecordState.GONE;
      if (hasBegun) this.#settle(entry, state);
      else this.#settleLater(entry, state);
    }
  }

  /**
   * Returns whether a record may be needed for a comparison: with a later report of its cgroup, or
   * with a retry of an earlier one.
   */
  #isRemembered({ number }: Entry): boolean {
    const { journal, isKept } = this.#parts;
    const earlier = this.#earlier.get(number);
    return (
      isKept(number) || (earlier !== undefined && journal.state(earlier) === RecordState.PARKED)
    );
  }

  /** Settles records that were not accounted, and counts them as lost. */
  lose(group: readonly Entry[]): void {
    this.counts.lostCgroups += group.length;
    for (const entry of group) this.#settle(entry, RecordState.GONE);
  }

  /** Settles a record whose figures are included in a later report. */
  supersede(entry: Entry): void {
    this.counts.supersededReports++;
    this.#settle(entry, RecordState.GONE);
  }

  /** Parks records until an administrator decides, and logs the reason. */
  park(group: readonly Entry[], reason: string): void {
    this.#parts.log(
      LOG_ERR,
      `${nameOf(group)}: parked, see "cm4all-spawn accounting": ${inOneLine(reason)}`,
    );
    for (const entry of group) this.#settle(entry, RecordState.PARKED, reason.slice(0, MAX_NOTE));
  }

  /** Parks a record that cannot be parsed, and logs the reason. */
  parkDamaged({ number, reason }: DamagedRecord): void {
    this.#parts.log(LOG_ERR, `a record of the journal is parked: ${inOneLine(reason)}`);
    this.#mark(number, RecordState.PARKED, reason);
  }

  /** Sets the state of a begun record back to waiting: its handler will be called again. */
  waitsAgain({ number }: Entry): void {
    this.#mark(number, RecordState.WAITING);
  }

  /** Removes a record from memory, and sets its state in the journal. */
  #settle(entry: Entry, state: RecordState, note?: string): void {
    this.#parts.forget(entry);
    this.#mark(entry.number, state, note);
  }

  #settleLater(entry: Entry, state: RecordState): void {
    const { forget, journal } = this.#parts;
    forget(entry);
    ignoreClosed(journal.markLater(entry.number, state));
  }

  #mark(number: number, state: RecordState, note?: string): void {
    ignoreClosed(this.#parts.journal.mark(number, state, note));
  }
}

/** Ignores that the journal is closed: the next start finds the record as it was. */
function ignoreClosed(marked: Promise<void>): void {
  marked.catch(() => undefined);
}
