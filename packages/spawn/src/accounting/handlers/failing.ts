/** Pauses records whose handler fails through its own fault, for longer after each failure. */
import { doubling, pauseAfter } from "@cm4all/supervision";
import { type Entry, isLarge } from "./entry.ts";

/** The pauses between the failure of a cgroup's handler and its next call. */
export const HANDLER_PAUSES = doubling(1000, 300_000);

/** The maximum number of failing records that are kept in memory; the others are read again. */
const MAX_KEPT = 1000;

export class FailingRecords {
  /** The records, in the order in which they first failed. */
  readonly #entries = new Set<Entry>();
  readonly #onPauseEnd: (entry: Entry) => void;

  constructor(onPauseEnd: (entry: Entry) => void) {
    this.#onPauseEnd = onPauseEnd;
  }

  get size(): number {
    return this.#entries.size;
  }

  /**
   * Begins the next pause of a record that has failed.
   * @param atMostMs the longest allowed pause
   */
  pause(entry: Entry, atMostMs: number): void {
    this.#entries.add(entry);
    if (this.#entries.size > MAX_KEPT || isLarge(entry.bytes)) entry.record = undefined;
    const pauseMs = Math.min(pauseAfter(HANDLER_PAUSES, entry.failures), atMostMs);
    entry.pause = setTimeout(() => {
      entry.pause = undefined;
      this.#onPauseEnd(entry);
    }, Math.ceil(pauseMs));
  }

  /** Returns, of the records whose handler is not running, the one that failed first. */
  oldest(): Entry | undefined {
    for (const entry of this.#entries) if (!entry.isRunning) return entry;
    return undefined;
  }

  /** Forgets since when records have been failing, because an outage was the cause. */
  forgive(): void {
    for (const entry of this.#entries) entry.failedSinceMs = undefined;
  }

  /** Ends the pause of a record, which no longer counts as failing. */
  remove(entry: Entry): void {
    clearTimeout(entry.pause);
    entry.pause = undefined;
    this.#entries.delete(entry);
  }

  /** Ends all pauses. */
  close(): void {
    for (const entry of this.#entries) clearTimeout(entry.pause);
  }
}
