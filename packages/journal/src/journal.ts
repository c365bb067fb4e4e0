/**
 * A journal of records on disk: a record that was appended is there after a crash and a
 * power failure, until it is marked as done with.
 *
 * Invariants:
 * - A promise of `append` or `mark` resolves after a sync that covers it.
 * - One sync serves all that came while the one before it ran.
 * - Nothing is written behind a write or sync that failed: a file whose sync has failed
 *   may have lost pages that the kernel takes for written, and a second sync would not
 *   tell (fsync(2), NOTES). The segment is left and a new one begun.
 * - What a failed append may have left on the disk is marked as gone, on the disk, before
 *   anything else is written. So no record stands twice.
 */
import { errorText, isErrno } from "@cm4all/linux";
import { Compaction } from "./compaction.ts";
import type { JournalDirectory, JournalFile } from "./directory.ts";
import { JournalClosed, JournalError, JournalFull, NoRecord } from "./errors.ts";
import { encodeFrames, type Frame, FrameKind, frameSize, MAX_PAYLOAD_SIZE } from "./frame.ts";
import { RecordState } from "./record-table.ts";
import {
  encodeHeader,
  markFrame,
  readRecord,
  readSegment,
  tryDecodeMark,
  UnknownSegment,
} from "./segment.ts";
import { type Damage, indexOf, recordNumber, type Segment, Segments } from "./segments.ts";

export interface JournalOptions {
  /** Appends are refused beyond this many bytes; marks are always taken. */
  readonly limitBytes: number;
  /** A new segment is begun when one is as large as this. */
  readonly segmentBytes: number;
}

export const DEFAULT_OPTIONS: JournalOptions = {
  limitBytes: 1024 * 1024 * 1024,
  segmentBytes: 16 * 1024 * 1024,
};

/** Bytes of the limit that appends leave to marks. */
const RESERVE_BYTES = 1024 * 1024;
/** Bytes that one sync covers at most, unless a single frame is larger. */
const BATCH_BYTES = 4 * 1024 * 1024;
/** How long marks wait after a failure until they are tried again. */
const RETRY_MS = 1000;

interface Operation {
  /** Made when it is written, for the segment in which it will stand. */
  readonly frame: (active: Active) => Frame;
  /** Of the frame in bytes. */
  readonly size: number;
  /** Whether it is tried again until the disk takes it. */
  readonly isMark: boolean;
  /** It is on the disk. */
  readonly confirm: (frame: Frame) => void;
  readonly reject: (error: JournalError) => void;
}

/** Where frames are written. */
interface Active {
  readonly segment: Segment;
  readonly file: JournalFile;
  nextIndex: number;
}

/** A record or a mark as it stands in the journal. */
export type Entry =
  | {
      readonly kind: "record";
      readonly number: number;
      readonly state: RecordState;
      /** Valid during the call. */
      readonly payload: Buffer;
    }
  | {
      readonly kind: "mark";
      readonly number: number;
      readonly state: RecordState;
      readonly note: string;
    };

export class Journal {
  readonly #directory: JournalDirectory;
  #options: JournalOptions;
  readonly #segments: Segments;
  readonly #compaction: Compaction;
  #active: Active | undefined;
  #queue: Operation[] = [];
  #queuedRecordBytes = 0;
  #work: Promise<void> | undefined;
  #retry: NodeJS.Timeout | undefined;
  /** Numbers of records that a failed append may have left on the disk. */
  #disowned: number[] = [];
  #isClosed = false;
  #lastError: string | undefined;
  /** Settled when the reading that was asked for last is done. */
  #lastRead: Promise<unknown> = Promise.resolve();
  /** The segment that was read last. */
  #reading: { readonly segment: Segment; readonly file: JournalFile } | undefined;

  /** Told when `lastError` changes. */
  onTrouble: ((error: string | undefined) => void) | undefined;

  /** What was damaged when the journal was opened; for the log. */
  readonly damage: readonly Damage[];

  private constructor(
    directory: JournalDirectory,
    options: JournalOptions,
    segments: Segments,
    damage: readonly Damage[],
  ) {
    this.#directory = directory;
    this.#options = options;
    this.#segments = segments;
    this.damage = damage;
    this.#compaction = new Compaction(directory, segments, (segment) => this.#forgetFile(segment));
  }

  /**
   * Reads what earlier runs have left. The caller has locked the directory.
   * @throws system errors if the directory cannot be read
   */
  static async open(
    directory: JournalDirectory,
    options: JournalOptions = DEFAULT_OPTIONS,
  ): Promise<Journal> {
    const segments = new Segments();
    const damage = await segments.load(directory);
    const journal = new Journal(directory, options, segments, damage);
    journal.#start();
    return journal;
  }

  /** Records that are not done with. */
  get live(): number {
    return this.#segments.live;
  }

  /** How many records have that state. */
  count(state: RecordState): number {
    return this.#segments.count(state);
  }

  /** Changes how much it may hold; what it holds already stays. */
  set limitBytes(limitBytes: number) {
    this.#options = { ...this.#options, limitBytes };
  }

  get limitBytes(): number {
    return this.#options.limitBytes;
  }

  /** Bytes on the disk. */
  get bytes(): number {
    return this.#segments.bytes;
  }

  /** Why the last write failed; undefined after one that succeeded. */
  get lastError(): string | undefined {
    return this.#lastError;
  }

  /** Returns the state of a record; undefined if there is none of that number. */
  state(number: number): RecordState | undefined {
    return this.#segments.state(number);
  }

  /** Iterates over the records that are not done with, oldest first, above number `after`. */
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
   * @throws JournalFull, JournalClosed, JournalError: then it is not in the journal
   */
  append(payload: Buffer): Promise<number> {
    const size = frameSize(payload.length);
    return new Promise((resolve, reject) => {
      if (this.#isClosed) return reject(new JournalClosed("the journal is closed"));
      if (payload.length > MAX_PAYLOAD_SIZE)
        return reject(new JournalError(`a record of ${payload.length} bytes is too large`));
      const { limitBytes } = this.#options;
      if (this.bytes + this.#queuedRecordBytes + size > limitBytes - RESERVE_BYTES)
        return reject(new JournalFull(`the journal holds as much as it may: ${limitBytes} bytes`));
      this.#queuedRecordBytes += size;
      this.#add({
        frame: (active) => {
          const number = recordNumber(active.segment.sequence, active.nextIndex++);
          return { kind: FrameKind.RECORD, number, payload };
        },
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
    });
  }

  /**
   * Gives a record a state, at once, and returns when that is on the disk: a disk that
   * fails is tried again until it takes it. Without effect for a record that is gone.
   * @param note why, for people
   * @throws JournalClosed
   */
  mark(number: number, state: RecordState, note?: string): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) return reject(new JournalClosed("the journal is closed"));
      if (!this.#segments.setState(number, state)) return resolve();
      const frame = markFrame(number, state, note);
      const size = frameSize(frame.payload.length);
      this.#add({ frame: () => frame, size, isMark: true, confirm: () => resolve(), reject });
    });
  }

  #add(operation: Operation): void {
    this.#queue.push(operation);
    this.#start();
  }

  #start(): void {
    if (this.#work !== undefined) return;
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#work = this.#run().then((isTaken) => {
      this.#work = undefined;
      if (this.#queue.length === 0 || this.#isClosed) return;
      // Of what the disk has refused only marks are left, and may wait.
      if (!isTaken && this.#queue.every(({ isMark }) => isMark)) this.#retryLater();
      else this.#start();
    });
  }

  #retryLater(): void {
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#start();
    }, RETRY_MS);
  }

  /**
   * Writes what waits, batch after batch, and tidies up when nothing does.
   * @returns false if the disk has refused something
   */
  async #run(): Promise<boolean> {
    for (;;) {
      while (this.#queue.length > 0) {
        if (!(await this.#tryWrite(this.#takeBatch()))) return false;
        if (this.#isCrowded) await this.#tidy(false);
      }
      if (this.#isClosed) return true;
      const hasMore = await this.#tidy(true);
      if (!hasMore && this.#queue.length === 0) return true;
    }
  }

  /** Whether room is to be made although there is other work. */
  get #isCrowded(): boolean {
    return this.bytes > this.#options.limitBytes / 2 || this.#segments.all().length > 4;
  }

  /** Makes room, one segment. Returns whether there was something to do. */
  async #tidy(isIdle: boolean): Promise<boolean> {
    const active = this.#active?.segment;
    try {
      if (await this.#compaction.tryRemove(active)) return true;
      const isNeeded = isIdle || this.bytes > this.#options.limitBytes / 2;
      return isNeeded && (await this.#compaction.tryRewrite(active));
    } catch (error) {
      // The records are where they were; the next change tries again.
      this.#tell(errorText(error));
      return false;
    }
  }

  #takeBatch(): Operation[] {
    let size = 0;
    let count = 0;
    for (const operation of this.#queue) {
      if (count > 0 && size + operation.size > BATCH_BYTES) break;
      size += operation.size;
      count++;
    }
    return this.#queue.splice(0, count);
  }

  /** Returns false if the disk does not take it: marks are back in the queue then. */
  async #tryWrite(batch: readonly Operation[]): Promise<boolean> {
    let active: Active | undefined;
    const frames: Frame[] = [];
    try {
      active = await this.#prepare();
      for (const { frame } of batch) frames.push(frame(active));
      const bytes = encodeFrames(frames);
      await active.file.write(bytes, active.segment.bytes);
      await active.file.sync();
    } catch (error) {
      if (active !== undefined) this.#disown(active.segment, frames);
      await this.#leave();
      this.#refuse(batch, error);
      return false;
    }
    this.#tell(undefined);
    const { segment } = active;
    for (const [i, frame] of frames.entries()) {
      const { kind, number, payload } = frame;
      if (kind === FrameKind.RECORD) segment.table.add(indexOf(number), segment.bytes);
      else segment.addMark(number);
      segment.bytes += frameSize(payload.length);
      batch[i]?.confirm(frame);
    }
    return true;
  }

  /** The segment's file may hold these frames, or may not. */
  #disown(segment: Segment, frames: readonly Frame[]): void {
    let offset = segment.bytes;
    for (const { kind, number, payload } of frames) {
      if (kind === FrameKind.RECORD) {
        segment.table.add(indexOf(number), offset, RecordState.GONE);
        this.#disowned.push(number);
      }
      offset += frameSize(payload.length);
    }
    segment.isStale = true;
  }

  #tell(error: string | undefined): void {
    const isNew = this.#lastError !== error;
    this.#lastError = error;
    if (isNew) this.onTrouble?.(error);
  }

  /** Marks go back into the queue; records are their callers'. */
  #refuse(batch: readonly Operation[], error: unknown): void {
    this.#tell(errorText(error));
    this.#queue.unshift(...batch.filter(({ isMark }) => isMark));
    for (const { isMark, reject } of batch)
      if (!isMark)
        reject(new JournalError(`cannot write the journal: ${errorText(error)}`, { cause: error }));
  }

  /** Returns where to write, after what was disowned is marked as gone on the disk. */
  async #prepare(): Promise<Active> {
    if (this.#active !== undefined && this.#active.segment.bytes < this.#options.segmentBytes)
      return this.#active;
    await this.#leave();
    const segment = this.#segments.append();
    try {
      const file = await this.#directory.create(segment.name);
      this.#active = { segment, file, nextIndex: 0 };
      const disowned = this.#disowned.map((number) => markFrame(number, RecordState.GONE));
      const bytes = Buffer.concat([encodeHeader(segment.sequence), encodeFrames(disowned)]);
      await file.write(bytes, 0);
      await file.sync();
      await this.#directory.sync();
      segment.bytes = bytes.length;
      for (const number of this.#disowned) segment.addMark(number);
      this.#disowned = [];
      return this.#active;
    } catch (error) {
      await this.#leave();
      this.#segments.remove(segment);
      // It has nothing in it that counts.
      await this.#directory.remove(segment.name).catch(() => undefined);
      throw error;
    }
  }

  /** Ends the writing of a segment. */
  async #leave(): Promise<void> {
    const active = this.#active;
    this.#active = undefined;
    // What close(2) could still report was reported by the sync.
    await active?.file.close().catch(() => undefined);
  }

  /** Returns a record. @throws NoRecord if it is gone or damaged; system errors */
  async read(number: number): Promise<Buffer> {
    // One after the other: they share an open file, which each may change.
    const read = this.#lastRead.then(() => this.#read(number));
    this.#lastRead = read.catch(() => undefined);
    return read;
  }

  async #read(number: number): Promise<Buffer> {
    for (;;) {
      const { table } = this.#segments.find(number) ?? {};
      try {
        return await this.#tryRead(number);
      } catch (error) {
        // Right if the file was rewritten meanwhile: then it stands elsewhere.
        if (!(error instanceof NoRecord)) throw error;
        if (this.#segments.find(number)?.table === table) throw error;
      }
    }
  }

  async #tryRead(number: number): Promise<Buffer> {
    const segment = this.#segments.find(number);
    const offset = segment?.table.offset(indexOf(number));
    if (segment === undefined || offset === undefined)
      throw new NoRecord(`there is no record ${number}`);
    return readRecord(await this.#openForReading(segment), offset, number);
  }

  async #openForReading(segment: Segment): Promise<JournalFile> {
    if (this.#reading?.segment === segment) return this.#reading.file;
    const { table } = segment;
    const file = await this.#tryOpen(segment);
    if (file === undefined) throw new NoRecord(`${segment.name} was removed`);
    await this.#reading?.file.close();
    // If the segment was rewritten meanwhile, this is the file of before.
    this.#reading = segment.table === table ? { segment, file } : undefined;
    if (this.#reading !== undefined) return file;
    await file.close();
    return this.#openForReading(segment);
  }

  #forgetFile(segment: Segment): void {
    if (this.#reading?.segment !== segment) return;
    void this.#reading.file.close().catch(() => undefined);
    this.#reading = undefined;
  }

  /**
   * Reads the journal from its beginning and calls `visit` for each record that is not
   * done with, and for each mark of one. Notes stand in the marks, of which the last counts.
   */
  async visit(visit: (entry: Entry) => void): Promise<void> {
    for (const segment of this.#segments.all()) {
      const file = await this.#tryOpen(segment);
      if (file === undefined) continue;
      try {
        await readSegment(file, ({ kind, number, payload }) => {
          const state = this.state(number);
          if (state === undefined || state === RecordState.GONE) return;
          if (kind === FrameKind.RECORD) visit({ kind: "record", number, state, payload });
          const mark = kind === FrameKind.MARK ? tryDecodeMark(payload) : undefined;
          if (mark !== undefined) visit({ kind: "mark", number, ...mark });
        });
      } catch (error) {
        // Of a newer version: `damage` has told of it, and the others are read all the same.
        if (!(error instanceof UnknownSegment)) throw error;
      } finally {
        await file.close();
      }
    }
  }

  /** Returns undefined if the segment was removed: by us if it is done with, else by somebody else. */
  async #tryOpen(segment: Segment): Promise<JournalFile | undefined> {
    try {
      return await this.#directory.open(segment.name);
    } catch (error) {
      if (isErrno(error, "ENOENT")) return undefined;
      throw error;
    }
  }

  /** Returns when what was asked for so far is written, or the disk has refused it. */
  async settle(): Promise<void> {
    while (this.#work !== undefined) await this.#work;
  }

  /** Writes what waits, once, and closes the files. What is not written then is rejected. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    clearTimeout(this.#retry);
    this.#retry = undefined;
    if (this.#queue.length > 0) this.#start();
    await this.settle();
    this.#isClosed = true;
    clearTimeout(this.#retry);
    await this.#leave();
    await this.#reading?.file.close();
    this.#reading = undefined;
    for (const { reject } of this.#queue) reject(new JournalClosed("the journal is closed"));
    this.#queue = [];
  }
}
