/**
 * Writes frames to the disk, batch after batch.
 *
 * Invariants:
 * - An operation is confirmed when a write that has it is on the disk; one write serves
 *   all that came while the one before it ran.
 * - Nothing is written behind a write that failed: the file may have lost pages that the
 *   kernel takes for written, and a second write would not tell (fsync(2), NOTES). The
 *   segment is left and a new one begun.
 * - What a failed append may have left on the disk is marked as gone, on the disk, before
 *   anything else is written. So no record stands twice.
 * - The reserve takes marks alone.
 */
import { errorText, isErrno } from "@cm4all/linux";
import type { JournalDirectory, JournalFile } from "./directory.ts";
import { JournalError } from "./errors.ts";
import { encodeBatch, type Frame, FrameKind, frameSize } from "./frame.ts";
import { RecordState } from "./record-table.ts";
import { isDiskFull, type Reserve } from "./reserve.ts";
import { headerFrame, markFrame } from "./segment.ts";
import { indexOf, recordNumber, type Segment, type Segments, sequenceOf } from "./segments.ts";

/** Bytes of one write at most, unless a single frame is larger. */
const BATCH_BYTES = 4 * 1024 * 1024;

export interface Operation {
  /** Made when it is written, for the segment in which it will stand. */
  readonly frame: (active: Active) => Frame;
  /** Of the frame in bytes. */
  readonly size: number;
  /** Whether it is tried again until the disk takes it. */
  readonly isMark: boolean;
  /** The record that a mark is about. */
  readonly about?: number;
  /** It is on the disk. */
  readonly confirm: (frame: Frame) => void;
  readonly reject: (error: JournalError) => void;
}

/** Where frames are written. */
export interface Active {
  readonly segment: Segment;
  readonly file: JournalFile;
  /** Whether its room is the reserve's. */
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
  /** Told why a write has failed; undefined after one that succeeded. */
  readonly #tell: (error: string | undefined) => void;
  #active: Active | undefined;
  #queue: Operation[] = [];
  /** Numbers of records that a failed append may have left on the disk. */
  #disowned: number[] = [];
  /** Whether the disk is full, as far as it is known: then records are not even tried. */
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

  /** The segment that is written; it is nobody else's to change. */
  get segment(): Segment | undefined {
    return this.#active?.segment;
  }

  get isIdle(): boolean {
    return this.#queue.length === 0;
  }

  /** Whether the disk is full, and there is no reserve for the marks that wait. */
  get lacksRoom(): boolean {
    return this.#fullError !== undefined && !this.#reserve.isThere && !this.isIdle;
  }

  /** Whether nothing but marks waits. */
  get hasMarksAlone(): boolean {
    return this.#queue.every(({ isMark }) => isMark);
  }

  /**
   * Returns the sequence numbers of segments that have to stay until marks are written. To drop a
   * record that is gone is as good as its mark, which must not take effect before an earlier one
   * about an older record: a record that was replaced would come back if the one in its place,
   * which came after it, is forgotten first. So the oldest segment may always go.
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

  /** Writes a batch. @returns false if the disk does not take it: its marks are in the queue again then */
  async tryWrite(): Promise<boolean> {
    if (this.#fullError !== undefined && !this.hasMarksAlone) await this.#lookForRoom();
    const batch = this.#takeBatch();
    if (batch.length === 0) return true;
    if (await this.#tryWriteBatch(batch)) return true;
    // With the room of the reserve it may go.
    return this.#fullError !== undefined && this.#reserve.isThere && !this.isIdle;
  }

  /** The disk was full: tries whether it has room again. */
  async #lookForRoom(): Promise<void> {
    const { isThere } = this.#reserve;
    // Records that are tried in vain would hold up the marks in their batch.
    const hasRoom = isThere ? await this.#reserve.hasRoomBeside() : await this.#reserve.tryMake();
    if (!hasRoom) return this.#refuseRecords();
    // Without a mark to write the reserve was not needed, and there was no look.
    if (this.#active?.isReserve === true) await this.leave();
    this.#fullError = undefined;
  }

  /** Nothing is to be written: makes a reserve, if there is none. */
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
    // The disk is as full as before, if it was the reserve that took it.
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

  /** Marks go back into the queue; records are their callers'. */
  #refuse(batch: readonly Operation[], error: unknown): void {
    this.#fullError = isDiskFull(error) && error instanceof Error ? error : undefined;
    this.#tell(errorText(error));
    this.#queue.unshift(...batch.filter(({ isMark }) => isMark));
    for (const { isMark, reject } of batch) if (!isMark) reject(cannotWrite(error));
  }

  /** Returns where to write, after what was disowned is marked as gone on the disk. */
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
      // It has nothing in it that counts.
      if (await this.#tryRemove(segment)) this.#segments.giveBack(segment);
      else this.#segments.remove(segment);
      throw error;
    }
  }

  /** Returns whether no file of that name is left. */
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

  /** Ends the writing of a segment. */
  async leave(): Promise<void> {
    const active = this.#active;
    this.#active = undefined;
    // Else the rest of the reserve would be taken and not counted until the segment goes.
    if (active?.isReserve === true)
      await active.file.truncate(active.segment.bytes).catch(() => undefined);
    // What close(2) could still report was reported by the writes.
    await active?.file.close().catch(() => undefined);
  }

  /** Rejects what waits. */
  rejectAll(error: JournalError): void {
    for (const { reject } of this.#queue) reject(error);
    this.#queue = [];
  }
}

function cannotWrite(error: unknown): JournalError {
  return new JournalError(`cannot write the journal: ${errorText(error)}`, { cause: error });
}
