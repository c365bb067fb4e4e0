/**
 * Reads the records that wait in the journal, in order, for the queue. However many wait, only
 * some new ones are kept in memory until the queue asks for them.
 *
 * Invariants:
 * - A record that waits, is available and is not in the queue is above the cursor, unless the disk
 *   cannot read it: such a record has a pause, or is skipped until the cursor is at the end.
 * - No record above the limit, which is the highest number announced so far, is read. Before the
 *   intake announces a record with `extend`, it starts to hold the record back, and does so until
 *   it hands the record over.
 */
import { type EncodedRecord, tryDecodeRecord } from "@cm4all/cgroup";
import { type Journal, NoRecord, RecordState } from "@cm4all/journal";
import { isErrno } from "@cm4all/linux";
import { isOfBoot } from "../terms/boot.ts";
import type { UnreadableRecords } from "./unreadable.ts";

/** The maximum number of new records kept in memory: the queue usually wants them soon. */
const MAX_FRESH = 1000;

/** The size of a page in bytes; its last record may exceed it. */
const MAX_BYTES = 4 * 1024 * 1024;

export interface WaitingRecord {
  readonly number: number;
  readonly record: EncodedRecord;
  /** The size of the record in the journal. */
  readonly bytes: number;
}

/** The records that are to be handed over next. */
export interface WindowPage {
  readonly records: readonly WaitingRecord[];
  /** Records that cannot be used, and why. */
  readonly damaged: readonly DamagedRecord[];
}

interface Page extends WindowPage {
  readonly records: WaitingRecord[];
  readonly damaged: DamagedRecord[];
  /** Why a record was skipped. */
  refusal: unknown;
}

function isEmpty({ records, damaged }: Page): boolean {
  return records.length + damaged.length === 0;
}

export interface DamagedRecord {
  readonly number: number;
  readonly reason: string;
}

export interface WindowOptions {
  readonly bootId: string;
  /** Returns whether the directory of a record has to be deleted first. */
  readonly isHeld: (number: number) => boolean;
  readonly unreadable: Pick<UnreadableRecords, "isPausing" | "tryAdd" | "remove">;
}

export class RecordWindow {
  readonly #options: WindowOptions;
  #journal: Journal | undefined;
  #cursor = -1;
  #limit = -1;
  #isBootOpen = false;
  /** The first of the records that the disk cannot read and that have no pause. */
  #skipped: { readonly number: number; readonly error: unknown } | undefined;
  readonly #fresh = new Map<number, WaitingRecord>();

  constructor(options: WindowOptions) {
    this.#options = options;
  }

  /** Makes the records in the journal available, except those of this boot. */
  open(journal: Journal): void {
    this.#journal = journal;
    for (const { number } of journal.records()) this.#limit = Math.max(this.#limit, number);
  }

  /** Makes the records of this boot available: the caller now knows which directories exist. */
  openBoot(): void {
    this.#isBootOpen = true;
  }

  /** Notes that a record was written; it is not to be handed over yet. */
  extend(number: number): void {
    this.#limit = Math.max(this.#limit, number);
  }

  /** Makes a record available. @param fresh the record, if it is still in memory */
  add(number: number, fresh: WaitingRecord | undefined): void {
    this.extend(number);
    this.rewind(number);
    if (fresh !== undefined && this.#fresh.size < MAX_FRESH) this.#fresh.set(number, fresh);
  }

  /** Moves the cursor back, so that a record and those after it are read again. */
  rewind(number: number): void {
    this.#cursor = Math.min(this.#cursor, number - 1);
  }

  /**
   * Returns the next records, in order; none if there are no more at the moment. The caller
   * takes the records before it calls `read` again, and makes one call at a time.
   * @param isTaken returns whether the caller has a record already
   * @throws system errors if nothing can be read now; after EIO, a later call continues with the
   *   records that follow
   */
  async read(count: number, isTaken: (number: number) => boolean): Promise<WindowPage> {
    const page: Page = { records: [], damaged: [], refusal: undefined };
    const journal = this.#journal;
    if (journal === undefined) return page;
    this.#dropStale(journal);
    const begin = this.#cursor + 1;
    try {
      // Looks further if all of the next records are gone or have a pause.
      for (let mayBeMore = true; mayBeMore && isEmpty(page) && page.refusal === undefined; ) {
        const numbers = this.#next(journal, count, isTaken);
        mayBeMore = (await this.#readInto(page, journal, numbers)) && numbers.length > 0;
      }
    } catch (error) {
      // The caller first gets the records that were read; the next call meets the error again.
      this.rewind(begin);
      if (isEmpty(page)) throw error;
    }
    if (!isEmpty(page)) return page;
    if (page.refusal !== undefined) throw page.refusal;
    this.#readSkipped();
    return page;
  }

  /**
   * Moves the cursor back to the first skipped record, because all others were read.
   * @throws the error of that record
   */
  #readSkipped(): void {
    if (this.#skipped === undefined) return;
    const { number, error } = this.#skipped;
    this.#skipped = undefined;
    this.rewind(number);
    throw error;
  }

  /** Reads records into the page. Returns false if it stopped early and moved the cursor back. */
  async #readInto(page: Page, journal: Journal, numbers: readonly number[]): Promise<boolean> {
    let bytes = 0;
    for (const number of numbers) {
      const loaded = await this.#tryLoad(page, journal, number);
      if (loaded === undefined || !this.#isAvailable(journal, number)) continue;
      if ("reason" in loaded) page.damaged.push(loaded);
      else if (this.#isClosed(loaded.record)) {
        this.rewind(number);
        return false;
      } else {
        page.records.push(loaded);
        bytes += loaded.bytes;
        if (bytes < MAX_BYTES) continue;
        this.rewind(number + 1);
        return false;
      }
    }
    return true;
  }

  /**
   * Returns a record that was taken before; undefined if it no longer waits or is damaged.
   * @throws system errors of reading
   */
  async readAgain(number: number): Promise<EncodedRecord | undefined> {
    const journal = this.#journal;
    if (journal?.state(number) !== RecordState.WAITING) return undefined;
    const loaded = await this.#load(journal, number);
    return "record" in loaded ? loaded.record : undefined;
  }

  /** Returns the next numbers, and moves the cursor past them. */
  #next(journal: Journal, count: number, isTaken: (number: number) => boolean): number[] {
    const numbers: number[] = [];
    for (const { number } of journal.records(this.#cursor)) {
      if (number > this.#limit || numbers.length >= count) break;
      this.#cursor = number;
      if (!this.#isAvailable(journal, number) || isTaken(number)) continue;
      if (!this.#options.unreadable.isPausing(number)) numbers.push(number);
    }
    return numbers;
  }

  /** Drops records in memory that no longer wait, such as replaced ones: new ones need the room. */
  #dropStale(journal: Journal): void {
    for (const number of this.#fresh.keys())
      if (journal.state(number) !== RecordState.WAITING) this.#fresh.delete(number);
  }

  /** Returns undefined if the disk cannot read the record; it is then read again later. */
  async #tryLoad(
    page: Page,
    journal: Journal,
    number: number,
  ): Promise<WaitingRecord | DamagedRecord | undefined> {
    const { unreadable } = this.#options;
    try {
      const loaded = await this.#load(journal, number);
      unreadable.remove(number);
      return loaded;
    } catch (error) {
      if (!isErrno(error, "EIO")) throw error;
      if (!unreadable.tryAdd(number, error)) this.#skip(page, number, error);
      return undefined;
    }
  }

  #skip(page: Page, number: number, error: unknown): void {
    page.refusal = error;
    if (this.#skipped === undefined || number < this.#skipped.number)
      this.#skipped = { number, error };
  }

  /** Returns whether a record may be handed over, which may change while it is read. */
  #isAvailable(journal: Journal, number: number): boolean {
    return journal.state(number) === RecordState.WAITING && !this.#options.isHeld(number);
  }

  #isClosed({ id }: EncodedRecord): boolean {
    return !this.#isBootOpen && isOfBoot(id, this.#options.bootId);
  }

  async #load(journal: Journal, number: number): Promise<WaitingRecord | DamagedRecord> {
    const fresh = this.#fresh.get(number);
    this.#fresh.delete(number);
    if (fresh !== undefined) return fresh;
    try {
      const payload = await journal.read(number);
      const record = tryDecodeRecord(payload.toString());
      if (record !== undefined) return { number, record, bytes: payload.length };
    } catch (error) {
      if (!(error instanceof NoRecord)) throw error;
      return { number, reason: error.message };
    }
    return { number, reason: "it is not a record that this version can read" };
  }
}
