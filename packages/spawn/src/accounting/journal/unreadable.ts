/**
 * Records that the disk does not give: each is tried again after a pause, longer each time,
 * and holds up none of the others.
 */
import { errorText } from "@cm4all/linux";
import { doubling, pauseAfter } from "@cm4all/supervision";
import { LOG_ERR, LOG_NOTICE, type Logger } from "../../log/log.ts";

const READ_PAUSES = doubling(1000, 300_000);

/** So many have pauses of their own. */
const MAX_RECORDS = 1000;

interface Unreadable {
  failures: number;
  /** Undefined while it is tried. */
  pause: NodeJS.Timeout | undefined;
}

export class UnreadableRecords {
  readonly #log: Logger;
  readonly #onPauseEnd: (number: number) => void;
  readonly #records = new Map<number, Unreadable>();

  /** @param onPauseEnd told of a record that is to be read again */
  constructor(log: Logger, onPauseEnd: (number: number) => void) {
    this.#log = log;
    this.#onPauseEnd = onPauseEnd;
  }

  get size(): number {
    return this.#records.size;
  }

  /** Whether it is not to be read now. */
  isPausing(number: number): boolean {
    return this.#records.get(number)?.pause !== undefined;
  }

  /** A record could not be read. @returns false, without effect, if it gets no pause of its own */
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
        `a record of the journal cannot be read, and is tried again; others go on: ${errorText(error)}`,
      );
    this.#records.set(number, record);
    return true;
  }

  /** A record was read, or is not wanted any more. */
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
