/**
 * Shows the records in the journal's files while no daemon is running, and decides on them. Holds
 * the lock of the journal while the journal is open, so that a daemon that starts meanwhile waits.
 */
import { CommandFailure, EX_IOERR, EX_NOINPUT, EX_NOPERM, EX_TEMPFAIL } from "@cm4all/command";
import {
  DEFAULT_OPTIONS,
  DiskDirectory,
  Journal,
  RecordState,
  tryLockJournal,
} from "@cm4all/journal";
import { errorText, type Fd, isErrno } from "@cm4all/linux";
import type { JournalConfig } from "../../config/accounting.ts";
import { JournalRecords } from "../terms/journal-records.ts";
import {
  type AccountingRecords,
  type FoundRecord,
  RecordRefused,
  type RecordSummary,
} from "../terms/records.ts";
import { findOutdated, OUTDATED } from "../view/outdated-records.ts";

/** The maximum number of marks that are written together. */
const CHUNK = 100_000;

export class OfflineRecords implements AccountingRecords, AsyncDisposable {
  readonly #lock: Fd;
  readonly #journal: Journal;
  readonly #records: JournalRecords;

  private constructor(lock: Fd, journal: Journal) {
    this.#lock = lock;
    this.#journal = journal;
    this.#records = new JournalRecords(journal);
  }

  /**
   * Locks and opens the journal. The caller disposes of the result.
   * @param warn called with a message for each damaged file
   * @throws CommandFailure if the journal does not exist, cannot be read, or is locked
   */
  static async open(
    { directory, limitBytes }: JournalConfig,
    warn: (text: string) => void,
  ): Promise<OfflineRecords> {
    const lock = lockJournal(directory);
    try {
      // No reserve is created, but the daemon's reserve is used if it exists.
      const options = { ...DEFAULT_OPTIONS, limitBytes, reserveBytes: 0 };
      const journal = await Journal.open(new DiskDirectory(directory), options);
      for (const { file, what } of journal.damage) warn(`${directory}/${file}: ${what}`);
      return new OfflineRecords(lock, journal);
    } catch (error) {
      lock.close();
      throw new CommandFailure(`cannot read the journal: ${errorText(error)}`, EX_IOERR, {
        cause: error,
      });
    }
  }

  list(after: number, limit: number): Promise<RecordSummary[]> {
    return this.#records.list(after, limit);
  }

  find(idOrNumber: string): Promise<FoundRecord[]> {
    return this.#records.find(idOrNumber);
  }

  async retry(numbers: readonly number[] | "all"): Promise<number> {
    if (numbers === "all") return this.#retryAll();
    for (const number of numbers)
      if (!isDecidable(this.#journal.state(number)))
        throw new RecordRefused(number, "is not parked");
    for (const number of await findOutdated(this.#journal, numbers))
      throw new RecordRefused(number, OUTDATED);
    await this.#mark(numbers, RecordState.WAITING);
    return numbers.length;
  }

  async #retryAll(): Promise<number> {
    const outdated = await findOutdated(this.#journal);
    const numbers: number[] = [];
    for (const { number, state } of this.#journal.records())
      if (isDecidable(state) && !outdated.has(number)) numbers.push(number);
    await this.#mark(numbers, RecordState.WAITING);
    return numbers.length;
  }

  async drop(numbers: readonly number[]): Promise<number> {
    for (const number of numbers)
      if (!isListed(this.#journal.state(number)))
        throw new RecordRefused(number, "is not in the journal");
    await this.#mark(numbers, RecordState.GONE);
    return numbers.length;
  }

  /**
   * Marks records, and waits until the marks are on the disk.
   * @throws CommandFailure if the disk refuses them
   */
  async #mark(numbers: readonly number[], state: RecordState): Promise<void> {
    /** The number of records whose marks are not on the disk, including those of later chunks. */
    let left = numbers.length;
    for (let start = 0; start < numbers.length; start += CHUNK) {
      const chunk = numbers.slice(start, start + CHUNK);
      const leftAfter = left - chunk.length;
      // The promises of marks that the disk refuses are rejected when the journal is closed.
      const written = Promise.all(
        chunk.map((number) => this.#journal.mark(number, state).then(() => left--)),
      ).catch(() => undefined);
      await Promise.race([written, this.#trouble()]);
      // With its reserve, the journal may still be able to write the marks.
      if (left > leftAfter) await this.#journal.settle();
      // Closing tries a last time; only then is it known how many marks are left.
      if (left > leftAfter) await this.#journal.close();
      if (left > leftAfter)
        throw new CommandFailure(
          `cannot write the journal: ${this.#journal.lastError}; the last ${left} records are still undecided`,
          EX_IOERR,
        );
    }
  }

  /** Resolves when the disk has refused a write. */
  async #trouble(): Promise<void> {
    if (this.#journal.lastError !== undefined) return;
    await new Promise<void>((resolve) => {
      this.#journal.onTrouble = (error) => error !== undefined && resolve();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.#journal.close();
    } finally {
      this.#lock.close();
    }
  }
}

/** Returns whether a record is parked, or is to be parked because its handler was interrupted. */
function isDecidable(state: RecordState | undefined): boolean {
  return state === RecordState.PARKED || state === RecordState.BEGAN;
}

function isListed(state: RecordState | undefined): boolean {
  return state === RecordState.WAITING || isDecidable(state);
}

/** Locks the journal. The caller closes the lock. @throws CommandFailure */
function lockJournal(directory: string): Fd {
  let lock: Fd | undefined;
  try {
    lock = tryLockJournal(directory);
  } catch (error) {
    if (isErrno(error, "EACCES"))
      throw new CommandFailure(`only root may read the journal (${directory})`, EX_NOPERM);
    throw new CommandFailure(
      `cannot open the journal: ${errorText(error)}; accounting.journal says where it is`,
      EX_NOINPUT,
    );
  }
  if (lock !== undefined) return lock;
  throw new CommandFailure(
    `another process has locked the journal ${directory}, and no daemon answers: a daemon may be starting or stopping; try again`,
    EX_TEMPFAIL,
  );
}
