/** Finds the time at which the cgroup of the journal's oldest waiting record was measured. */
import { tryParseRecord } from "@cm4all/cgroup";
import { type Journal, RecordState } from "@cm4all/journal";

/** The states of records that are yet to be accounted, except parked ones. */
const WAITING: readonly RecordState[] = [
  RecordState.WAITING,
  RecordState.BEGAN,
  RecordState.REPLACED,
];

export class OldestWaiting {
  /** No record with a lower number waits. */
  #from = 0;
  #read: { readonly number: number; readonly measuredMs: number | undefined } | undefined;
  #isReading = false;

  /** Notes that a record waits again. */
  rewind(number: number): void {
    this.#from = Math.min(this.#from, number);
  }

  /**
   * Returns the time at which the cgroup of the oldest waiting record was measured, in milliseconds
   * since 1970; undefined if none waits or the record cannot be read. Reads each record once, in
   * the background, because a disk may hang; until a record is read, returns the time of the one
   * that was the oldest before.
   */
  measuredMs(journal: Journal | undefined): number | undefined {
    const number = journal === undefined ? undefined : this.#first(journal);
    if (journal === undefined || number === undefined) {
      this.#read = undefined;
      return undefined;
    }
    if (this.#read?.number !== number && !this.#isReading) void this.#readMeasured(journal, number);
    return this.#read?.measuredMs;
  }

  async #readMeasured(journal: Journal, number: number): Promise<void> {
    this.#isReading = true;
    this.#read = { number, measuredMs: await tryReadMeasured(journal, number) };
    this.#isReading = false;
  }

  #first(journal: Journal): number | undefined {
    if (WAITING.every((state) => journal.count(state) === 0)) return undefined;
    for (const { number, state } of journal.records(this.#from - 1)) {
      this.#from = number;
      if (WAITING.includes(state)) return number;
    }
    return undefined;
  }
}

async function tryReadMeasured(journal: Journal, number: number): Promise<number | undefined> {
  try {
    const payload = await journal.read(number);
    return tryParseRecord(payload.toString())?.snapshot.measuredMs;
  } catch {
    // The window, which reads the record to hand it over, reports the error.
    return undefined;
  }
}
