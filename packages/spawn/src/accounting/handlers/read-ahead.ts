/** Reads records from the journal before the sink has room for them. */
import type { DamagedRecord, RecordWindow, WaitingRecord } from "../journal/window.ts";
import type { Lineup } from "./lineup.ts";

/** The number of records read ahead, or twice the maximum length of a list if that is more. */
const CAPACITY = 1000;

/** No more records are read while the total size of those read ahead exceeds this, in bytes. */
const CAPACITY_BYTES = 4 * 1024 * 1024;

/** The pause after a failed attempt to read a record. */
export const READ_PAUSE_MS = 1000;

export interface ReadAheadParts {
  readonly window: Pick<RecordWindow, "read">;
  readonly lineup: Pick<Lineup, "ready" | "readyBytes" | "get">;
  readonly onRead: (record: WaitingRecord) => void;
  readonly onDamaged: (record: DamagedRecord) => void;
  readonly onFailure: (error: unknown) => void;
  /** Called when a read has ended or may be tried again. */
  readonly onEnd: () => void;
}

export class ReadAhead {
  readonly #parts: ReadAheadParts;
  #isReading = false;
  /** True if the window may have more records. */
  #mayBeMore = true;
  #pause: NodeJS.Timeout | undefined;

  constructor(parts: ReadAheadParts) {
    this.#parts = parts;
  }

  /** Notes that the window may have more records. */
  wake(): void {
    this.#mayBeMore = true;
  }

  /** Reads more records if few are left. @param batch the maximum number of records in a list */
  async read(batch: number): Promise<void> {
    const { window, lineup, onRead, onDamaged, onEnd } = this.#parts;
    const capacity = Math.max(CAPACITY, 2 * batch);
    const { ready } = lineup;
    if (this.#isReading || !this.#mayBeMore || ready > capacity / 2) return;
    if (lineup.readyBytes > CAPACITY_BYTES) return;
    this.#isReading = true;
    this.#mayBeMore = false;
    try {
      const isTaken = (number: number) => lineup.get(number) !== undefined;
      const { records, damaged } = await window.read(capacity - ready, isTaken);
      if (records.length + damaged.length > 0) this.#mayBeMore = true;
      for (const each of damaged) onDamaged(each);
      for (const record of records) onRead(record);
    } catch (error) {
      this.failed(error);
    }
    this.#isReading = false;
    onEnd();
  }

  /** Reports that a record could not be read, and tries again after a pause. */
  failed(error: unknown): void {
    this.#parts.onFailure(error);
    // A failure does not postpone the pending attempt, which otherwise might never be made.
    this.#pause ??= setTimeout(() => {
      this.#pause = undefined;
      this.wake();
      this.#parts.onEnd();
    }, READ_PAUSE_MS);
  }

  /** Cancels the next attempt. Does not wait for a read that has begun. */
  close(): void {
    clearTimeout(this.#pause);
  }
}
