/**
 * The records that wait in the journal, in their order, as the queue takes them: however
 * many there are, only numbers are kept of those that were not asked for.
 *
 * Invariants:
 * - A record that is waiting, available and not the queue's is above the cursor, or, if the
 *   disk does not give it, has its pause, or is skipped until the cursor is at the end.
 * - Nothing above the limit is read: the intake says first whether its directory is there.
 */
import { type EncodedRecord, tryDecodeRecord } from "@cm4all/cgroup";
import { type Journal, NoRecord, RecordState } from "@cm4all/journal";
import { isErrno } from "@cm4all/linux";
import { isOfBoot } from "../terms/boot.ts";
import type { UnreadableRecords } from "./unreadable.ts";

/** Records that were just written are kept for the queue, which mostly wants them soon. */
const MAX_FRESH = 1000;

/** One reading ends after so many bytes. */
const MAX_BYTES = 4 * 1024 * 1024;

export interface WaitingRecord {
  readonly number: number;
  readonly record: EncodedRecord;
  /** Of it in the journal. */
  readonly bytes: number;
}

/** What of the journal is to be handed over next. */
export interface WindowPage {
  readonly records: readonly WaitingRecord[];
  /** Records that cannot be used, and why. */
  readonly damaged: readonly DamagedRecord[];
}

interface Page extends WindowPage {
  readonly records: WaitingRecord[];
  readonly damaged: DamagedRecord[];
  /** Why one was skipped. */
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
  /** Whether a record's directory has to be deleted first. */
  readonly isHeld: (number: number) => boolean;
  readonly unreadable: Pick<UnreadableRecords, "isPausing" | "tryAdd" | "remove">;
}

export class RecordWindow {
  readonly #options: WindowOptions;
  #journal: Journal | undefined;
  #cursor = -1;
  #limit = -1;
  #isBootOpen = false;
  /** The first of those that the disk does not give and that have no pause of their own. */
  #skipped: { readonly number: number; readonly error: unknown } | undefined;
  readonly #fresh = new Map<number, WaitingRecord>();

  constructor(options: WindowOptions) {
    this.#options = options;
  }

  /** Has what is in the journal read, except for the records of this boot. */
  open(journal: Journal): void {
    this.#journal = journal;
    for (const { number } of journal.records()) this.#limit = Math.max(this.#limit, number);
  }

  /** Has the records of this boot read as well: it is known now whose directory is there. */
  openBoot(): void {
    this.#isBootOpen = true;
  }

  /** A record was written, and is held. */
  extend(number: number): void {
    this.#limit = Math.max(this.#limit, number);
  }

  /** A record can be handed over. @param fresh itself, if it is at hand */
  add(number: number, fresh: WaitingRecord | undefined): void {
    this.extend(number);
    this.rewind(number);
    if (fresh !== undefined && this.#fresh.size < MAX_FRESH) this.#fresh.set(number, fresh);
  }

  /** Has the journal read again from a record on. */
  rewind(number: number): void {
    this.#cursor = Math.min(this.#cursor, number - 1);
  }

  /**
   * Returns the next records, in order; none if there are no more at the moment. The
   * caller waits for it before it calls this again, and has then taken what came.
   * @param isTaken tells which records the caller has already
   * @throws system errors if nothing can be read now; a later call goes on behind what the disk does not give
   */
  async read(count: number, isTaken: (number: number) => boolean): Promise<WindowPage> {
    const page: Page = { records: [], damaged: [], refusal: undefined };
    const journal = this.#journal;
    if (journal === undefined) return page;
    const begin = this.#cursor + 1;
    try {
      // None of those that are next may be there any more, or have its pause.
      for (let mayBeMore = true; mayBeMore && isEmpty(page) && page.refusal === undefined; ) {
        const numbers = this.#next(journal, count, isTaken);
        mayBeMore = (await this.#readInto(page, journal, numbers)) && numbers.length > 0;
      }
    } catch (error) {
      // The caller has the records before it then, and the next call meets it first.
      this.rewind(begin);
      if (isEmpty(page)) throw error;
    }
    if (!isEmpty(page)) return page;
    if (page.refusal !== undefined) throw page.refusal;
    this.#readSkipped();
    return page;
  }

  /** Everything else was read: has those read again that were skipped. @throws the error of the first */
  #readSkipped(): void {
    if (this.#skipped === undefined) return;
    const { number, error } = this.#skipped;
    this.#skipped = undefined;
    this.rewind(number);
    throw error;
  }

  /** Returns false if it has ended before the last one. */
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

  /** Returns a record that was taken before; undefined if it is not there any more. @throws system errors of reading */
  async readAgain(number: number): Promise<EncodedRecord | undefined> {
    const journal = this.#journal;
    if (journal?.state(number) !== RecordState.WAITING) return undefined;
    const loaded = await this.#load(journal, number);
    return "record" in loaded ? loaded.record : undefined;
  }

  /** Moves the cursor behind the next numbers, and returns them. */
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

  /** Returns undefined if the disk does not give it: it is tried again later. */
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

  /** Also while its record was read, things happen to a cgroup. */
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
    return { number, reason: "it is no record that this version can read" };
  }
}
