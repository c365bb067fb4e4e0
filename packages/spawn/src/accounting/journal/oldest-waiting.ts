/** Since when what waits in the journal has waited. */
import { tryParseRecord } from "@cm4all/cgroup";
import { type Journal, RecordState } from "@cm4all/journal";

/** The states of a record whose handler has not returned, and is to be called or runs. */
const WAITING: readonly RecordState[] = [
  RecordState.WAITING,
  RecordState.BEGAN,
  RecordState.REPLACED,
];

export class OldestWaiting {
  /** None below it waits. */
  #from = 0;
  #read: { readonly number: number; readonly measuredMs: number | undefined } | undefined;
  #isReading = false;

  /** A record waits again. */
  rewind(number: number): void {
    this.#from = Math.min(this.#from, number);
  }

  /**
   * Returns when the oldest record that waits was measured, milliseconds since 1970;
   * undefined if none waits, or if it cannot be read. A record is read once, in the background,
   * because a disk may hang: until then it is as old as the one that was the oldest before.
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
    // Whoever hands it over says what is wrong with it.
    return undefined;
  }
}
