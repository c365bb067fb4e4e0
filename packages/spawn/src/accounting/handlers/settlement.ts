/**
 * Ends the matter of a record: the journal learns what became of it, and memory forgets it.
 *
 * Invariant: a record leaves the journal when its handler has returned, unless somebody will
 * have to know of it.
 */
import { RecordState } from "@cm4all/journal";
import { LOG_ERR, type Logger } from "../../log/log.ts";
import type { DamagedRecord } from "../journal/window.ts";
import { type Entry, nameOf } from "./entry.ts";

/** What the queue asks of the journal. */
export interface RecordStates {
  state(number: number): RecordState | undefined;
  /** @throws (rejects) once the journal is closed: the next start decides then */
  mark(number: number, state: RecordState, note?: string): Promise<void>;
  /** As `mark`, but in no hurry. */
  markLater(number: number, state: RecordState): Promise<void>;
  /** Marks records as begun. @throws (rejects) also if the disk does not take it soon */
  begin(numbers: readonly number[]): Promise<void>;
}

export interface SettlementParts {
  readonly journal: Pick<RecordStates, "state" | "mark" | "markLater">;
  /** Whether the directory of a record is there: then its cgroup may be reported again. */
  readonly isKept: (number: number) => boolean;
  readonly log: Logger;
  /** Forgets a record in memory. */
  readonly forget: (entry: Entry) => void;
}

/** Of a reason, what stands in the journal. */
const MAX_NOTE = 1000;

export class Settlement {
  readonly #parts: SettlementParts;
  /** By its number, for a report that came while an earlier one was handed over: that one. */
  readonly #earlier = new Map<number, number>();
  readonly counts = { accountedCgroups: 0, supersededReports: 0, lostCgroups: 0 };

  constructor(parts: SettlementParts) {
    this.#parts = parts;
  }

  /** A record is a report of the cgroup of an earlier one, which was handed over. */
  follows(number: number, earlier: number): void {
    this.#earlier.set(number, earlier);
  }

  /** A record is forgotten. */
  forget({ number }: Entry): void {
    this.#earlier.delete(number);
  }

  /**
   * Their handlers have returned.
   * @param hasBegun they are marked as begun: killed now, the daemon would park them at the
   *   next start. Others are handed over again then, which books nothing twice.
   */
  accounted(group: readonly Entry[], hasBegun: boolean): void {
    this.counts.accountedCgroups += group.length;
    for (const entry of group) {
      const state = this.#isRemembered(entry) ? RecordState.ACCOUNTED : RecordState.GONE;
      if (hasBegun) this.#settle(entry, state);
      else this.#settleLater(entry, state);
    }
  }

  /** Whether a later report, or who retries an earlier one, will have to know of it. */
  #isRemembered({ number }: Entry): boolean {
    const { journal, isKept } = this.#parts;
    const earlier = this.#earlier.get(number);
    return (
      isKept(number) || (earlier !== undefined && journal.state(earlier) === RecordState.PARKED)
    );
  }

  /** Marks records as done without a handler, and counts them as lost. */
  lose(group: readonly Entry[]): void {
    this.counts.lostCgroups += group.length;
    for (const entry of group) this.#settle(entry, RecordState.GONE);
  }

  /** A later report has its figures. */
  supersede(entry: Entry): void {
    this.counts.supersededReports++;
    this.#settle(entry, RecordState.GONE);
  }

  /** Parks records for an administrator, with the reason, and says so in the log. */
  park(group: readonly Entry[], reason: string): void {
    this.#parts.log(LOG_ERR, `${nameOf(group)}: parked, see "cm4all-spawn accounting": ${reason}`);
    for (const entry of group) this.#settle(entry, RecordState.PARKED, reason.slice(0, MAX_NOTE));
  }

  /** Parks a record that cannot be understood, with the reason, and says so in the log. */
  parkDamaged({ number, reason }: DamagedRecord): void {
    this.#parts.log(LOG_ERR, `a record of the journal is parked: ${reason}`);
    this.#mark(number, RecordState.PARKED, reason);
  }

  /** Its handler has begun, and is called again. */
  waitsAgain({ number }: Entry): void {
    this.#mark(number, RecordState.WAITING);
  }

  /** Nothing more is done for a record, unless it is retried. */
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

/** The journal is closed: the next start finds the record as it was. */
function ignoreClosed(marked: Promise<void>): void {
  marked.catch(() => undefined);
}
