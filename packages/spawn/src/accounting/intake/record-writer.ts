/**
 * Writes records into the journal. One that takes the place of an earlier one is on the disk
 * before that is marked as gone, and a cgroup's records are written in their order.
 */
import { type EncodedRecord, withReport } from "@cm4all/cgroup";
import { RecordState } from "@cm4all/journal";
import { isLarge } from "../handlers/entry.ts";
import type { AccountingQueue } from "../handlers/queue.ts";
import type { JournalStore } from "../journal/journal-store.ts";
import type { RecordWindow } from "../journal/window.ts";
import { ByteBudget } from "../terms/byte-budget.ts";
import type { Tracked, TrackedRecords } from "./tracked.ts";

/** How many records are kept in memory while their directories are deleted. */
const MAX_RECORDS = 1000;

/** JSON has two bytes for one of an attribute at most, and a disk may be slow. */
const MAX_PENDING_BYTES = 16 * 1024 * 1024;

export interface RecordWriterParts {
  readonly store: Pick<JournalStore, "append" | "state" | "mark">;
  readonly window: Pick<RecordWindow, "extend">;
  readonly queue: Pick<AccountingQueue, "tryWithdraw" | "follows">;
  readonly tracked: TrackedRecords;
  /** A record is on the disk, and the one in whose place it stands is gone there. */
  readonly onWritten: (tracked: Tracked) => void;
}

export class RecordWriter {
  readonly #parts: RecordWriterParts;
  /** Of what waits for the disk, as it will stand there. */
  readonly #budget = new ByteBudget(MAX_PENDING_BYTES);
  supersededReports = 0;

  constructor(parts: RecordWriterParts) {
    this.#parts = parts;
  }

  /** @param before the latest record of the same cgroup @throws JournalClosed (rejects) */
  async write(tracked: Tracked, before: Tracked | undefined): Promise<void> {
    await before?.written;
    const replaced = before === undefined ? undefined : await this.#replace(before);
    if (before !== undefined) {
      const isNext = replaced === undefined && !before.isWithdrawn;
      tracked.earlier = isNext ? before : before.earlier;
      tracked.report = Math.max(tracked.report, before.report + (isNext ? 1 : 0));
    }
    const { record, report } = tracked;
    if (record === undefined) return;
    const numbered = withReport(record, report);
    tracked.record = undefined;
    const { number, bytes } = await this.#append(tracked, numbered);
    tracked.number = number;
    if (number !== undefined && this.#parts.tracked.size <= MAX_RECORDS && !isLarge(bytes))
      tracked.fresh = { number, record: numbered, bytes };
    // At once: what is on the disk is either held back, or is to be handed over.
    if (number !== undefined) this.#isOnDisk(tracked, number);
    if (replaced !== undefined) {
      this.supersededReports++;
      await this.#parts.store.mark(replaced, RecordState.GONE);
    }
    if (number === undefined || tracked.isWithdrawn) return;
    tracked.isWritten = true;
    this.#parts.onWritten(tracked);
  }

  /** Returns the record's number, if it was not withdrawn before. @throws JournalClosed (rejects) */
  async #append(
    tracked: Tracked,
    record: EncodedRecord,
  ): Promise<{ readonly number: number | undefined; readonly bytes: number }> {
    if (!this.#budget.hasRoom) await this.#budget.room();
    const payload = Buffer.from(record.json);
    const bytes = payload.length;
    this.#budget.take(bytes);
    try {
      const number = await this.#parts.store.append(payload, () => !tracked.isWithdrawn);
      return { number, bytes };
    } finally {
      this.#budget.giveBack(bytes);
    }
  }

  #isOnDisk(tracked: Tracked, number: number): void {
    const { store, window, queue } = this.#parts;
    if (tracked.isWithdrawn)
      store.mark(number, RecordState.GONE).catch(() => {
        // The journal is closed: the next start finds the record as it was.
      });
    else this.#parts.tracked.addNumber(tracked);
    window.extend(number);
    const earlier = tracked.earlier?.number;
    if (earlier !== undefined) queue.follows(number, earlier);
  }

  /**
   * Has another record stand in the place of one that was not handed over, or whose
   * handler was not called yet. Returns its number, if it is so.
   */
  async #replace(before: Tracked): Promise<number | undefined> {
    const { store, queue, tracked } = this.#parts;
    const { number } = before;
    if (number === undefined || !queue.tryWithdraw(number)) return undefined;
    if (store.state(number) !== RecordState.WAITING) return undefined;
    tracked.remove(before);
    await store.mark(number, RecordState.REPLACED);
    return number;
  }
}
