/** Shows the records of the running daemon to administrators, and carries out their decisions. */
import { CommandFailure, EX_TEMPFAIL } from "@cm4all/command";
import { type Journal, RecordState } from "@cm4all/journal";
import type { AccountingQueue } from "../handlers/queue.ts";
import type { JournalStore } from "../journal/journal-store.ts";
import { findLater } from "../journal/later-reports.ts";
import type { RecordWindow } from "../journal/window.ts";
import { JournalRecords } from "../terms/journal-records.ts";
import {
  type AccountingRecords,
  type FoundRecord,
  RecordRefused,
  type RecordSummary,
} from "../terms/records.ts";
import { OUTDATED, wasHandedOver } from "./outdated-records.ts";

/** The maximum number of marks that are written together. */
const CHUNK = 50_000;

export interface DaemonRecordsParts {
  readonly store: Pick<JournalStore, "journal" | "status" | "mark">;
  readonly window: Pick<RecordWindow, "rewind">;
  readonly queue: Pick<AccountingQueue, "find" | "tryWithdraw" | "wake">;
}

export class DaemonRecords implements AccountingRecords {
  readonly #parts: DaemonRecordsParts;
  #records: JournalRecords | undefined;
  /** The number of records that were dropped. */
  dropped = 0;

  constructor(parts: DaemonRecordsParts) {
    this.#parts = parts;
  }

  /** @throws CommandFailure until the journal is open */
  get #journal(): Journal {
    const { journal, status } = this.#parts.store;
    if (journal !== undefined) return journal;
    const why = status.problem === undefined ? "" : `: ${status.problem}`;
    throw new CommandFailure(`the daemon has not opened the journal yet${why}`, EX_TEMPFAIL);
  }

  get #view(): JournalRecords {
    this.#records ??= new JournalRecords(this.#journal);
    return this.#records;
  }

  async list(after: number, limit: number): Promise<RecordSummary[]> {
    const page = await this.#view.list(after, limit);
    return page.map((summary) => this.#withAttempts(summary));
  }

  async find(idOrNumber: string): Promise<FoundRecord[]> {
    const found = await this.#view.find(idOrNumber);
    return found.map((each) => ({ ...each, summary: this.#withAttempts(each.summary) }));
  }

  #withAttempts(summary: RecordSummary): RecordSummary {
    const entry = this.#parts.queue.find(summary.number);
    if (entry === undefined) return summary;
    const { attempts, lastError, isRunning } = entry;
    const state = isRunning ? "began" : summary.state;
    return { ...summary, state, attempts, reason: summary.reason ?? lastError };
  }

  async retry(numbers: readonly number[] | "all"): Promise<number> {
    if (numbers === "all") return this.#retryAll();
    const journal = this.#journal;
    const refuse = () => {
      for (const number of numbers)
        if (journal.state(number) !== RecordState.PARKED)
          throw new RecordRefused(number, "is not parked");
    };
    refuse();
    const later = await findLater(journal, numbers);
    // A later report may have been handed over, or another administrator may have decided, while
    // the journal was read.
    for (const number of numbers)
      if (this.#isOutdated(later.get(number))) throw new RecordRefused(number, OUTDATED);
    refuse();
    await this.#handOverAgain(numbers);
    return numbers.length;
  }

  async #retryAll(): Promise<number> {
    const journal = this.#journal;
    const laterOf = await findLater(journal);
    let count = 0;
    for (let after = -1; ; ) {
      const numbers: number[] = [];
      for (const { number, state } of journal.records(after)) {
        if (numbers.length >= CHUNK) break;
        after = number;
        if (state !== RecordState.PARKED || this.#isOutdated(laterOf.get(number))) continue;
        numbers.push(number);
      }
      if (numbers.length === 0) return count;
      await this.#handOverAgain(numbers);
      count += numbers.length;
    }
  }

  /**
   * Returns whether one of the later reports of a record's cgroup has been handed over. A report
   * whose handler is running is marked as begun only when the handler is about to have an effect,
   * so this method asks the queue as well.
   */
  #isOutdated(later: readonly number[] = []): boolean {
    const { queue } = this.#parts;
    const journal = this.#journal;
    return later.some(
      (number) => wasHandedOver(journal, number) || queue.find(number)?.isRunning === true,
    );
  }

  async #handOverAgain(numbers: readonly number[]): Promise<void> {
    const { window, queue } = this.#parts;
    const marks = this.#mark(numbers, RecordState.WAITING);
    for (const number of numbers) window.rewind(number);
    queue.wake();
    await marks;
  }

  async drop(requested: readonly number[]): Promise<number> {
    const numbers = [...new Set(requested)];
    const journal = this.#journal;
    const { queue } = this.#parts;
    for (const number of numbers) {
      const state = journal.state(number);
      if (state === RecordState.BEGAN || queue.find(number)?.isRunning === true)
        throw new RecordRefused(number, "is not dropped: its handler runs");
      if (state !== RecordState.WAITING && state !== RecordState.PARKED)
        throw new RecordRefused(number, "is not in the journal");
    }
    for (const number of numbers) queue.tryWithdraw(number);
    this.dropped += numbers.length;
    await this.#mark(numbers, RecordState.GONE);
    return numbers.length;
  }

  async #mark(numbers: readonly number[], state: RecordState): Promise<void> {
    await Promise.all(numbers.map((number) => this.#parts.store.mark(number, state)));
  }
}
