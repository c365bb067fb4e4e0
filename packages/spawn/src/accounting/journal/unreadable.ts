/**
 * Remembers the records that the disk cannot read. Each is read again after a pause, which grows
 * with each failure, and does not hold up other records.
 */
import { errorText } from "@cm4all/linux";
import { doubling, pauseAfter } from "@cm4all/supervision";
import { LOG_ERR, LOG_NOTICE, type Logger } from "../../log/log.ts";

const READ_PAUSES = doubling(1000, 300_000);

/** The maximum number of records that have pauses of their own. */
const MAX_RECORDS = 1000;

interface Unreadable {
  failures: number;
  /** Undefined while the record is being read again. */
  pause: NodeJS.Timeout | undefined;
}

export class UnreadableRecords {
  readonly #log: Logger;
  readonly #onPauseEnd: (number: number) => void;
  readonly #records = new Map<number, Unreadable>();

  /** @param onPauseEnd called with the number of a record that is to be read again */
  constructor(log: Logger, onPauseEnd: (number: number) => void) {
    this.#log = log;
    this.#onPauseEnd = onPauseEnd;
  }

  get size(): number {
    return this.#records.size;
  }

  /** Returns whether a record has a pause, and so is not to be read now. */
  isPausing(number: number): boolean {
    return this.#records.get(number)?.pause !== undefined;
  }

  /** Begins a pause of a record that could not be read. @returns false if there are too many */
  tryAdd(number: number, error: unknown): boolean {
    const known = this.#records.get(number);
    if (known === undefined && this.#records.size >= MAX_RECORDS) return false;
    const record = known ?? { failures: 0, pause: undefined };
    record.failures++;
    record.pause = setTimeout(
      () => {
        record.pause = undefined;
        this.#onPauseEnd(number);
      },
      pauseAfter(READ_PAUSES, record.failures),
    );
    if (this.#records.size === 0)
      this.#log(
        LOG_ERR,
        `a record of the journal cannot be read: ${errorText(error)}; it will be read again, without holding up others`,
      );
    this.#records.set(number, record);
    return true;
  }

  /** Forgets a record, because it was read or is no longer wanted. */
  remove(number: number): void {
    const record = this.#records.get(number);
    if (record === undefined) return;
    clearTimeout(record.pause);
    this.#records.delete(number);
    if (this.#records.size === 0)
      this.#log(LOG_NOTICE, "all records of the journal can be read again");
  }

  /** Ends all pauses. */
  close(): void {
    for (const { pause } of this.#records.values()) clearTimeout(pause);
  }
}
