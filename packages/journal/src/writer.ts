/**
 * Writes frames to the disk, batch after batch.
 *
 * Invariants:
 * - An operation is confirmed when the write that contains it is on the disk. A write contains
 *   all operations that came while the write before it ran, up to BATCH_BYTES.
 * - After a failed write, nothing more is written to the same file: the file may have lost pages
 *   that the kernel considers written, and a second write would not report that. A new segment is
 *   begun.
 * - Records that a failed append may have left on the disk are marked as gone, on the disk,
 *   before anything else is written. So no record is in the journal twice.
 * - Only marks are written to the reserve.
 */
import { errorText, isErrno } from "@cm4all/linux";
import type { JournalDirectory, JournalFile } from "./directory.ts";
import { JournalError } from "./errors.ts";
import { encodeBatch, type Frame, FrameKind, frameSize } from "./frame.ts";
import { RecordState } from "./record-table.ts";
import { isDiskFull, type Reserve } from "./reserve.ts";
import { headerFrame, markFrame } from "./segment.ts";
import { indexOf, recordNumber, type Segment, type Segments, sequenceOf } from "./segments.ts";

/** The maximum size of a write, unless a single frame is larger. */
const BATCH_BYTES = 4 * 1024 * 1024;

export interface Operation {
  /** Makes the frame, at the time of the write, for the segment that it goes into. */
  readonly frame: (active: Active) => Frame;
  /** The size of the frame in bytes. */
  readonly size: number;
  /** True for a mark, whose write is tried again until it succeeds. */
  readonly isMark: boolean;
  /** The record that a mark is about. */
  readonly about?: number;
  /** Called when the frame is on the disk. */
  readonly confirm: (frame: Frame) => void;
  readonly reject: (error: JournalError) => void;
}

/** The segment to which frames are written. */
export interface Active {
  readonly segment: Segment;
  readonly file: JournalFile;
  /** True if its file was the reserve. */
  readonly isReserve: boolean;
  nextIndex: number;
}

/** Returns the number of the next record in a segment. */
export function takeNumber(active: Active): number {
  return recordNumber(active.segment.sequence, active.nextIndex++);
}

export class Writer {
  readonly #directory: JournalDirectory;
  readonly #segments: Segments;
  readonly #segmentBytes: number;
  readonly #reserve: Reserve;
  /**
   * Called with the reason why a write has failed; with undefined after a write has succeeded,
   * unless only the reserve had room for it.
   */
  readonly #tell: (error: string | undefined) => void;
  #active: Active | undefined;
  #queue: Operation[] = [];
  /** The numbers of records that a failed append may have left on the disk. */
  #disowned: number[] = [];
  /** Set while the disk is full, as far as is known: then no append is even attempted. */
  #fullError: Error | undefined;

  constructor(
    directory: JournalDirectory,
    segments: Segments,
    segmentBytes: number,
    reserve: Reserve,
    tell: (error: string | undefined) => void,
  ) {
    this.#directory = directory;
    this.#segments = segments;
    this.#segmentBytes = segmentBytes;
    this.#reserve = reserve;
    this.#tell = tell;
  }

  /** The segment that is being written; only the writer may change it. */
  get segment(): Segment | undefined {
    return this.#active?.segment;
  }

  get isIdle(): boolean {
    return this.#queue.length === 0;
  }

  /** True if the disk is full, and there is no reserve for the waiting marks. */
  get lacksRoom(): boolean {
    return this.#fullError !== undefined && !this.#reserve.isThere && !this.isIdle;
  }

  /** True if no records are waiting. */
  get hasMarksAlone(): boolean {
    return this.#queue.every(({ isMark }) => isMark);
  }

  /**
   * Returns the sequence numbers of segments that have to stay until waiting marks are written.
   * Dropping a record that is gone has the same effect as writing its mark. This effect must not
   * come before that of an earlier mark that is still waiting and is about a record in an older
   * segment: if a record that replaces an older one were dropped first, the older record would come
   * back. Only later segments are affected, so the oldest segment may always be removed.
   */
  overtaking(): ReadonlySet<number> {
    const found = new Set<number>();
    let oldest = Number.POSITIVE_INFINITY;
    for (const { about } of this.#queue) {
      const sequence = about === undefined ? undefined : sequenceOf(about);
      if (sequence === undefined || !this.#segments.has(sequence)) continue;
      if (sequence > oldest) found.add(sequence);
      oldest = Math.min(oldest, sequence);
    }
    return found;
  }

  /** Adds an operation, which a later batch writes. */
  add(operation: Operation): void {
    this.#queue.push(operation);
  }

  /**
   * Writes a batch.
   * @returns false if the write fails, unless the next attempt can use the reserve; the marks stay
   * in the queue
   */
  async tryWrite(): Promise<boolean> {
    // Nothing may come between the refusal and the batch: a caller that appends its record again as
    // soon as it is refused would have the record written to the reserve.
    if (this.#fullError !== undefined && !this.hasMarksAlone && !(await this.#tryFindRoom()))
      this.#refuseRecords();
    const batch = this.#takeBatch();
    if (batch.length === 0) return true;
    if (await this.#tryWriteBatch(batch)) return true;
    // With the space of the reserve, the next attempt may succeed.
    return this.#fullError !== undefined && this.#reserve.isThere && !this.isIdle;
  }

  /** Returns whether a full disk has room again; if so, no more is written to the reserve. */
  async #tryFindRoom(): Promise<boolean> {
    const { isThere } = this.#reserve;
    // Without room, records would be tried in vain, and would delay the marks in their batch.
    const hasRoom = isThere ? await this.#reserve.hasRoomBeside() : await this.#reserve.tryMake();
    if (!hasRoom) return false;
    // Only marks are written to a reserve, so the records need a new segment.
    if (this.#active?.isReserve === true) await this.leave();
    this.#fullError = undefined;
    return true;
  }

  /** Makes a reserve if there is none; called when there is nothing to write. */
  async keepReserve(): Promise<void> {
    if (!this.#reserve.isDue || !(await this.#reserve.tryMake())) return;
    if (this.#active?.isReserve === true) await this.leave();
    if (this.#fullError !== undefined) this.#worked();
  }

  #refuseRecords(): void {
    const records = this.#queue.filter(({ isMark }) => !isMark);
    this.#queue = this.#queue.filter(({ isMark }) => isMark);
    for (const { reject } of records) reject(cannotWrite(this.#fullError));
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

  async #tryWriteBatch(batch: readonly Operation[]): Promise<boolean> {
    let active: Active | undefined;
    const frames: Frame[] = [];
    try {
      active = await this.#prepare();
      for (const { frame } of batch) frames.push(frame(active));
      await active.file.write(encodeBatch(frames), active.segment.bytes);
    } catch (error) {
      if (active !== undefined) this.#disown(active.segment, frames);
      await this.leave();
      this.#refuse(batch, error);
      return false;
    }
    // If the batch was written to the reserve, the disk is as full as before.
    if (!active.isReserve) this.#worked();
    const { segment } = active;
    for (const [i, frame] of frames.entries()) {
      const { kind, number, payload } = frame;
      if (kind === FrameKind.RECORD) segment.table.add(indexOf(number), segment.bytes);
      else this.#segments.addMark(segment, number);
      segment.bytes += frameSize(payload.length);
      batch[i]?.confirm(frame);
    }
    return true;
  }

  #worked(): void {
    this.#fullError = undefined;
    this.#tell(undefined);
  }

  /** Notes that frames may or may not be in the segment's file. */
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

  /** Puts the marks of a batch back into the queue, and rejects its records. */
  #refuse(batch: readonly Operation[], error: unknown): void {
    this.#fullError = isDiskFull(error) && error instanceof Error ? error : undefined;
    this.#tell(errorText(error));
    // Not `unshift`: a call cannot have as many arguments as a batch may have marks.
    this.#queue = [...batch.filter(({ isMark }) => isMark), ...this.#queue];
    for (const { isMark, reject } of batch) if (!isMark) reject(cannotWrite(error));
  }

  /** Returns the segment to write to, once all disowned records are marked as gone on the disk. */
  async #prepare(): Promise<Active> {
    if (this.#active !== undefined && this.#active.segment.bytes < this.#segmentBytes)
      return this.#active;
    await this.leave();
    const segment = this.#segments.append();
    try {
      this.#active = { ...(await this.#makeFile(segment)), segment, nextIndex: 0 };
      const { file } = this.#active;
      const disowned = this.#disowned.map((number) => markFrame(number, RecordState.GONE));
      const bytes = encodeBatch([headerFrame(segment.sequence), ...disowned]);
      await file.write(bytes, 0);
      await this.#directory.sync();
      segment.bytes = bytes.length;
      for (const number of this.#disowned) this.#segments.addMark(segment, number);
      this.#disowned = [];
      return this.#active;
    } catch (error) {
      await this.leave();
      // Nothing in the segment counts yet.
      if (await this.#tryRemove(segment)) this.#segments.giveBack(segment);
      else this.#segments.remove(segment);
      throw error;
    }
  }

  /** Returns true if no file of that name is left. */
  async #tryRemove({ name }: Segment): Promise<boolean> {
    try {
      await this.#directory.remove(name);
      return true;
    } catch (error) {
      return isErrno(error, "ENOENT");
    }
  }

  async #makeFile({ name }: Segment): Promise<Pick<Active, "file" | "isReserve">> {
    if (this.#fullError !== undefined && this.#reserve.isThere)
      return { file: await this.#reserve.become(name), isReserve: true };
    return { file: await this.#directory.create(name), isReserve: false };
  }

  /** Closes the segment that is being written, if there is one. */
  async leave(): Promise<void> {
    const active = this.#active;
    this.#active = undefined;
    // Otherwise the rest of the reserve would stay allocated, without being counted, until the
    // segment is removed.
    if (active?.isReserve === true)
      await active.file.truncate(active.segment.bytes).catch(() => undefined);
    // The writes have reported all errors that close(2) could report.
    await active?.file.close().catch(() => undefined);
  }

  /** Rejects all waiting operations. */
  rejectAll(error: JournalError): void {
    for (const { reject } of this.#queue) reject(error);
    this.#queue = [];
  }
}

function cannotWrite(error: unknown): JournalError {
  return new JournalError(`cannot write the journal: ${errorText(error)}`, { cause: error });
}
