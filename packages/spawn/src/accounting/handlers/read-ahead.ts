/** Reads records from the journal before handlers have room for them. */
import type { DamagedRecord, RecordWindow, WaitingRecord } from "../journal/window.ts";
import type { Lineup } from "./lineup.ts";

/** How many records are read ahead. */
const CAPACITY = 1000;

/** None are read ahead while those that were are as large as this. */
const CAPACITY_BYTES = 4 * 1024 * 1024;

/** After a record could not be read. */
export const READ_PAUSE_MS = 1000;

export interface ReadAheadParts {
  readonly window: Pick<RecordWindow, "read">;
  readonly lineup: Pick<Lineup, "ready" | "readyBytes" | "get">;
  readonly onRead: (record: WaitingRecord) => void;
  readonly onDamaged: (record: DamagedRecord) => void;
  readonly onFailure: (error: unknown) => void;
  /** A reading has ended, or may be tried again. */
  readonly onEnd: () => void;
}

export class ReadAhead {
  readonly #parts: ReadAheadParts;
  #isReading = false;
  /** Whether there may be more in the window. */
  #mayBeMore = true;
  #pause: NodeJS.Timeout | undefined;

  constructor(parts: ReadAheadParts) {
    this.#parts = parts;
  }

  /** There may be more in the window. */
  wake(): void {
    this.#mayBeMore = true;
  }

  /** Reads if few are left. @param batch how many one call of a handler takes at most */
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

  /** A record could not be read: there may be more after a pause. */
  failed(error: unknown): void {
    this.#parts.onFailure(error);
    this.#pause = setTimeout(() => {
      this.wake();
      this.#parts.onEnd();
    }, READ_PAUSE_MS);
  }

  /** Ends the pause before the next attempt. What is being read is not waited for. */
  close(): void {
    clearTimeout(this.#pause);
  }
}
