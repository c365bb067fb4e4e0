/**
 * Writes records into the journal, those of a cgroup in order. A record that replaces an earlier
 * one is on the disk before the earlier one is marked as gone. If the later one is withdrawn before
 * it is on the disk, the earlier one waits again, provided that it was handed over.
 */
import { type EncodedRecord, withReport } from "@cm4all/cgroup";
import { RecordState } from "@cm4all/journal";
import { isLarge } from "../handlers/entry.ts";
import type { AccountingQueue } from "../handlers/queue.ts";
import type { JournalStore } from "../journal/journal-store.ts";
import type { RecordWindow } from "../journal/window.ts";
import { ByteBudget } from "../terms/byte-budget.ts";
import type { Tracked, TrackedRecords } from "./tracked.ts";

/** The maximum number of records kept in memory until their directories are deleted. */
const MAX_RECORDS = 1000;

/**
 * The maximum total size, in bytes, of the records that wait for the disk; the last one may exceed
 * it. The size is that of their JSON, which may take two bytes for each byte of an attribute.
 */
const MAX_PENDING_BYTES = 16 * 1024 * 1024;

export interface RecordWriterParts {
  readonly store: Pick<JournalStore, "append" | "state" | "mark">;
  readonly window: Pick<RecordWindow, "extend" | "add">;
  readonly queue: Pick<AccountingQueue, "tryWithdraw" | "follows" | "wake">;
  readonly tracked: TrackedRecords;
  /** Called when a record is on the disk, and any record that it replaces is marked as gone. */
  readonly onWritten: (tracked: Tracked) => void;
}

export class RecordWriter {
  readonly #parts: RecordWriterParts;
  /** The bytes of the records that wait for the disk. */
  readonly #budget = new ByteBudget(MAX_PENDING_BYTES);
  supersededReports = 0;

  constructor(parts: RecordWriterParts) {
    this.#parts = parts;
  }

  /**
   * Writes a record after the previous record of its cgroup.
   * @param before the previous record; undefined if there is none
   * @throws JournalClosed (rejects)
   */
  async write(tracked: Tracked, before: Tracked | undefined): Promise<void> {
    // If this record is withdrawn before it is on the disk, `before` is the latest again.
    const mayComeBack = before?.isHandedOver === true;
    if (mayComeBack) tracked.earlier = before;
    await before?.written;
    const replaced = before === undefined ? undefined : await this.#replace(before, tracked);
    if (before !== undefined) {
      const isNext = replaced === undefined && !before.isWithdrawn;
      if (!mayComeBack) tracked.earlier = isNext ? before : before.earlier;
      tracked.report = Math.max(tracked.report, before.report + (isNext ? 1 : 0));
    }
    const { record, report } = tracked;
    if (record === undefined) return;
    const numbered = withReport(record, report);
    tracked.record = undefined;
    const { number, bytes } = await this.#append(tracked, numbered);
    tracked.number = number;
    const isUndone = mayComeBack && tracked.isWithdrawn;
    if (before !== undefined && replaced !== undefined && !isUndone) {
      tracked.earlier = before.earlier;
      this.#parts.tracked.remove(before);
    }
    if (number !== undefined && this.#parts.tracked.size <= MAX_RECORDS && !isLarge(bytes))
      tracked.fresh = { number, record: numbered, bytes };
    // No `await` may come between `#append` and the next line: a record on the disk is always held
    // back or handed over.
    if (number !== undefined) this.#isOnDisk(tracked, number);
    if (replaced !== undefined && isUndone) await this.#waitsAgain(replaced, before);
    else if (replaced !== undefined) {
      this.supersededReports++;
      await this.#parts.store.mark(replaced, RecordState.GONE);
    }
    if (number === undefined || tracked.isWithdrawn) return;
    tracked.isWritten = true;
    this.#parts.onWritten(tracked);
  }

  /**
   * Appends a record when there is room. Returns its number, or undefined if it was withdrawn.
   * @throws JournalClosed (rejects)
   */
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
   * Marks a record as replaced if it still waits and its handler is not running. Returns its
   * number, or undefined if it stays.
   */
  async #replace(before: Tracked, later: Tracked): Promise<number | undefined> {
    const { store, queue } = this.#parts;
    const { number } = before;
    if (later.isWithdrawn && before.isHandedOver) return undefined;
    if (number === undefined || !queue.tryWithdraw(number)) return undefined;
    if (store.state(number) !== RecordState.WAITING) return undefined;
    await store.mark(number, RecordState.REPLACED);
    return number;
  }

  /**
   * Hands over again a record that was to be replaced: the later one was withdrawn, and the next
   * report of the cgroup may come much later.
   */
  async #waitsAgain(number: number, { earlier }: Tracked): Promise<void> {
    const { store, window, queue } = this.#parts;
    const marked = store.mark(number, RecordState.WAITING);
    if (earlier?.number !== undefined) queue.follows(number, earlier.number);
    window.add(number, undefined);
    queue.wake();
    await marked;
  }
}
