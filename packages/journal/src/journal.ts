/**
 * A journal of records on disk. A record that was appended survives a crash and a power
 * failure until it is marked as gone, which means that it is no longer needed. A mark gives a
 * record a new state.
 *
 * Invariant: the promise that `append` or `mark` returns resolves only when what was written is on
 * the disk.
 */
import { Compaction } from "./compaction.ts";
import type { JournalDirectory } from "./directory.ts";
import { JournalClosed, JournalError, JournalFull } from "./errors.ts";
import { FrameKind, frameSize, MAX_PAYLOAD_SIZE } from "./frame.ts";
import { type Entry, Reader, type ReadRecord } from "./reader.ts";
import type { RecordState } from "./record-table.ts";
import { Reserve } from "./reserve.ts";
import { markFrame } from "./segment.ts";
import { type Damage, recordNumber, type Segment, Segments } from "./segments.ts";
import { takeNumber, Writer } from "./writer.ts";

export interface JournalOptions {
  /**
   * The size limit. Its last MARK_BYTES are left for marks, so an append that would use them is
   * refused. Marks are always accepted.
   */
  readonly limitBytes: number;
  /** A new segment is begun when the last one has reached this size. */
  readonly segmentBytes: number;
  /** The space on the disk that is kept for marks, in addition to the limit. */
  readonly reserveBytes: number;
}

export const DEFAULT_OPTIONS: JournalOptions = {
  limitBytes: 1024 * 1024 * 1024,
  segmentBytes: 16 * 1024 * 1024,
  // The reserve has room for marks of all records of one segment; that segment can then be removed.
  reserveBytes: 4 * 1024 * 1024,
};

/** The part of the limit, in bytes, that appends leave for marks. */
const MARK_BYTES = 1024 * 1024;
/** The time between a failed write of marks and the next attempt. */
const RETRY_MS = 1000;
/** The time that a mark of `markLater` waits for another write that can include it. */
const LATER_MS = 50;

export class Journal {
  #options: JournalOptions;
  readonly #segments: Segments;
  readonly #compaction: Compaction;
  readonly #writer: Writer;
  readonly #reader: Reader;
  #queuedRecordBytes = 0;
  #work: Promise<void> | undefined;
  /** The timer that begins the next write. */
  #alarm: NodeJS.Timeout | undefined;
  #isClosing = false;
  #isClosed = false;
  #lastError: string | undefined;

  /** Called when `lastError` changes. */
  onTrouble: ((error: string | undefined) => void) | undefined;
  /** Called with damage that is found after the journal was opened; for the log. */
  onDamage: ((damage: Damage) => void) | undefined;
  /** Called with the reason why the space of a file cannot be freed; for the log. */
  onStuck: ((file: string, reason: string) => void) | undefined;

  /** The damage that was found when the journal was opened; for the log. */
  readonly damage: readonly Damage[];

  private constructor(
    directory: JournalDirectory,
    options: JournalOptions,
    segments: Segments,
    reserve: Reserve,
    damage: readonly Damage[],
  ) {
    this.#options = options;
    this.#segments = segments;
    this.damage = damage;
    const tell = (error: string | undefined) => this.#tell(error);
    this.#writer = new Writer(directory, segments, options.segmentBytes, reserve, tell);
    this.#reader = new Reader(directory, segments, (each) => this.onDamage?.(each));
    this.#compaction = new Compaction(
      directory,
      segments,
      (segment) => this.#reader.forgetFile(segment),
      () => this.#writer.overtaking(),
      (segment, reason) => this.#tellStuck(segment, reason),
    );
  }

  /**
   * Opens the journal and reads its records. The caller must have locked the directory, and has
   * to close the journal.
   * @throws system errors if the directory cannot be read
   */
  static async open(
    directory: JournalDirectory,
    options: JournalOptions = DEFAULT_OPTIONS,
  ): Promise<Journal> {
    const segments = new Segments();
    const names = await directory.list();
    const damage = await segments.load(directory, names);
    const reserve = new Reserve(directory, options.reserveBytes, names);
    const journal = new Journal(directory, options, segments, reserve, damage);
    journal.#start();
    return journal;
  }

  /** The number of records that are not gone. */
  get live(): number {
    return this.#segments.live;
  }

  /** Returns the number of records in a state. */
  count(state: RecordState): number {
    return this.#segments.count(state);
  }

  /** Changes the limit. Records stay, even if they take more space than the new limit allows. */
  set limitBytes(limitBytes: number) {
    this.#options = { ...this.#options, limitBytes };
  }

  get limitBytes(): number {
    return this.#options.limitBytes;
  }

  /** The size on the disk in bytes, without the reserve. */
  get bytes(): number {
    return this.#segments.bytes;
  }

  /**
   * The reason why the last write failed; undefined if it succeeded. On a full disk, the reason
   * stays while marks can be written only to the reserve.
   */
  get lastError(): string | undefined {
    return this.#lastError;
  }

  /** Returns the state of a record; undefined if no record has that number. */
  state(number: number): RecordState | undefined {
    return this.#segments.state(number);
  }

  /**
   * Returns the name of a damaged file in which a later mark of a record may have been lost;
   * undefined if the record's state is certain. A new mark makes the state certain.
   */
  doubtfulFor(number: number): string | undefined {
    return this.#segments.doubtfulFor(number);
  }

  /** Iterates over the records that are not gone and have numbers above `after`, oldest first. */
  *records(after = -1): Generator<{ number: number; state: RecordState }> {
    for (const { sequence, table } of this.#segments.all()) {
      if (recordNumber(sequence, table.length) <= after) continue;
      const start = Math.max(0, after + 1 - recordNumber(sequence, 0));
      for (const { index, state } of table.entries(start))
        yield { number: recordNumber(sequence, index), state };
    }
  }

  /**
   * Appends a record and returns its number when it is on the disk.
   * @param payload owned by the journal from then on
   * @throws JournalFull, JournalClosed, JournalError (rejects): the record is not in the journal;
   *   but if its write failed, and no later write succeeds, the next start may find it
   */
  append(payload: Buffer): Promise<number> {
    const size = frameSize(payload.length);
    return new Promise((resolve, reject) => {
      if (this.#isClosed) return reject(new JournalClosed("the journal is closed"));
      if (payload.length > MAX_PAYLOAD_SIZE)
        return reject(new JournalError(`a record of ${payload.length} bytes is too large`));
      const { limitBytes } = this.#options;
      if (this.bytes + this.#queuedRecordBytes + size > limitBytes - MARK_BYTES)
        return reject(
          new JournalFull(`the journal has reached its size limit: ${limitBytes} bytes`),
        );
      this.#queuedRecordBytes += size;
      this.#writer.add({
        frame: (active) => ({ kind: FrameKind.RECORD, number: takeNumber(active), payload }),
        size,
        isMark: false,
        confirm: ({ number }) => {
          this.#queuedRecordBytes -= size;
          resolve(number);
        },
        reject: (error) => {
          this.#queuedRecordBytes -= size;
          reject(error);
        },
      });
      this.#start();
    });
  }

  /**
   * Gives a record a state, which `state` returns immediately. The promise resolves when the mark
   * is on the disk; the write is tried again until it succeeds. Has no effect on a record that is
   * gone.
   * @param note the reason, for people
   * @throws JournalClosed (rejects)
   */
  mark(number: number, state: RecordState, note?: string): Promise<void> {
    const marked = this.#mark(number, state, note);
    if (!this.#writer.isIdle) this.#start();
    return marked;
  }

  /**
   * Does the same as `mark`, but writes the mark together with the next operation, or after 50 ms
   * if none comes: a separate write would wake another thread and wait for the disk.
   * @throws JournalClosed (rejects)
   */
  markLater(number: number, state: RecordState): Promise<void> {
    const marked = this.#mark(number, state);
    this.#startIn(LATER_MS);
    return marked;
  }

  #mark(number: number, state: RecordState, note?: string): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) return reject(new JournalClosed("the journal is closed"));
      if (!this.#segments.setState(number, state)) return resolve();
      const frame = markFrame(number, state, note);
      const size = frameSize(frame.payload.length);
      const confirm = () => resolve();
      this.#writer.add({ frame: () => frame, size, isMark: true, about: number, confirm, reject });
    });
  }

  #start(): void {
    // If the files are being closed, waiting operations are rejected.
    if (this.#work !== undefined || this.#isClosed) return;
    this.#cancelAlarm();
    this.#work = this.#run().then((isTaken) => {
      this.#work = undefined;
      if (this.#writer.isIdle || this.#isClosing) return;
      // After a failed write, marks are tried again later, but new records are tried immediately.
      if (!isTaken && this.#writer.hasMarksAlone) this.#startIn(RETRY_MS);
      else this.#start();
    });
  }

  /** Begins to write after `delayMs` at the latest, unless a write is already running. */
  #startIn(delayMs: number): void {
    if (this.#work !== undefined || this.#writer.isIdle) return;
    if (this.#isClosing) this.#start();
    else
      this.#alarm ??= setTimeout(() => {
        this.#alarm = undefined;
        this.#start();
      }, delayMs);
  }

  #cancelAlarm(): void {
    clearTimeout(this.#alarm);
    this.#alarm = undefined;
  }

  /**
   * Writes waiting operations, batch after batch, and tidies up when none are left.
   * @returns false if the last write has failed
   */
  async #run(): Promise<boolean> {
    let hasMadeRoom = false;
    for (;;) {
      while (!this.#writer.isIdle) {
        if (!(await this.#writer.tryWrite())) {
          // Makes room at most once between two successful writes, because each failed write may
          // leave an empty segment.
          if (hasMadeRoom || !this.#writer.lacksRoom || !(await this.#makeRoom())) return false;
          hasMadeRoom = true;
          continue;
        }
        hasMadeRoom = false;
        if (this.#isCrowded) await this.#tidy(false);
      }
      // Anything left to tidy up is found when the journal is opened again.
      if (this.#isClosing) return true;
      await this.#writer.keepReserve();
      const hasMore = await this.#tidy(true);
      if (!hasMore && this.#writer.isIdle) return true;
    }
  }

  /** True if space is to be freed even while operations are waiting. */
  get #isCrowded(): boolean {
    return this.bytes > this.#options.limitBytes / 2 || this.#segments.all().length > 4;
  }

  /** Frees the space of a segment. Returns true if there was something to do. */
  async #tidy(isIdle: boolean): Promise<boolean> {
    const active = this.#writer.segment;
    try {
      if (await this.#compaction.tryRemove(active)) return true;
      const isNeeded = isIdle || this.bytes > this.#options.limitBytes / 2;
      return isNeeded && (await this.#compaction.tryRewrite(active));
    } catch {
      // The next step tries again to sync the directory. Disk errors are reported when a write
      // fails.
      return false;
    }
  }

  /**
   * Frees space on a full disk: removes files that nothing needs, and rewrites files that can be
   * made smaller. Records that are gone are dropped even if their marks are not on the disk yet.
   * Returns true if there was such a file.
   */
  async #makeRoom(): Promise<boolean> {
    let hasRoom = false;
    try {
      while (await this.#compaction.tryRemove(this.#writer.segment)) hasRoom = true;
      while (await this.#compaction.tryRewrite(this.#writer.segment)) hasRoom = true;
    } catch {
      // The failed write that led here has already been reported.
    }
    return hasRoom;
  }

  #tell(error: string | undefined): void {
    const isNew = this.#lastError !== error;
    this.#lastError = error;
    if (isNew) this.onTrouble?.(error);
  }

  /**
   * Reports a failure, unless it is the one that was last reported for the segment. At startup
   * `onStuck` is not set yet; a failure is then reported when it happens again.
   */
  #tellStuck(segment: Segment, reason: string): void {
    if (this.onStuck === undefined || segment.toldFailure === reason) return;
    segment.toldFailure = reason;
    this.onStuck(segment.name, reason);
  }

  /** Returns a record. @throws NoRecord if it is gone or damaged; system errors */
  read(number: number): Promise<Buffer> {
    return this.#reader.read(number);
  }

  /** See Reader.readOn. */
  readOn(after: number, visit: (record: ReadRecord) => boolean): Promise<void> {
    return this.#reader.readOn(after, visit);
  }

  /** See Reader.visit. */
  visit(visit: (entry: Entry) => void): Promise<void> {
    return this.#reader.visit(visit);
  }

  /** Returns the notes of the latest marks of records. @throws system errors */
  notes(numbers: readonly number[]): Promise<Map<number, string>> {
    return this.#reader.notes(numbers);
  }

  /**
   * Waits until all operations so far, except those of `markLater`, have been written or have
   * failed.
   */
  async settle(): Promise<void> {
    while (this.#work !== undefined) await this.#work;
  }

  /**
   * Tries once to write all waiting operations, closes the files, and rejects the operations that
   * were not written.
   */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosing = true;
    this.#cancelAlarm();
    if (!this.#writer.isIdle) this.#start();
    // Not `settle`: another write could begin between its end and the next line.
    while (this.#work !== undefined) await this.#work;
    this.#isClosed = true;
    this.#cancelAlarm();
    await this.#writer.leave();
    await this.#reader.close();
    this.#writer.rejectAll(new JournalClosed("the journal is closed"));
  }
}
