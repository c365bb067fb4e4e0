/** Reads a journal that may be written and rewritten at the same time. */
import { errorText, isErrno } from "@cm4all/linux";
import type { JournalDirectory, JournalFile } from "./directory.ts";
import { NoRecord } from "./errors.ts";
import { FrameKind, tryReadFrame } from "./frame.ts";
import { PatientReader } from "./patient-reader.ts";
import { RecordState } from "./record-table.ts";
import { isRecord, readRecord, readSegment, tryDecodeMark, UnknownSegment } from "./segment.ts";
import {
  type Damage,
  damageOf,
  indexOf,
  recordNumber,
  type Segment,
  type Segments,
} from "./segments.ts";

/** A record or a mark in the journal. */
export type Entry =
  | {
      readonly kind: "record";
      readonly number: number;
      readonly state: RecordState;
      /** Valid only during the call of `visit`. */
      readonly payload: Buffer;
    }
  | {
      readonly kind: "mark";
      readonly number: number;
      readonly state: RecordState;
      readonly note: string;
    };

/** A record, or the reason why it cannot be read. */
export interface ReadRecord {
  readonly number: number;
  readonly state: RecordState;
  /** Valid only during the call of `visit`. */
  readonly payload: Buffer | Error;
}

/** The number of bytes that are read at a time. */
const CHUNK_SIZE = 256 * 1024;

export class Reader {
  readonly #directory: JournalDirectory;
  readonly #segments: Segments;
  readonly #onDamage: (damage: Damage) => void;
  /** Settled when the last requested read is done. */
  #lastRead: Promise<unknown> = Promise.resolve();
  /** The segment that was read last, with its open file. */
  #reading: { readonly segment: Segment; readonly file: JournalFile } | undefined;

  /** @param onDamage called once for each segment with an unusable part */
  constructor(directory: JournalDirectory, segments: Segments, onDamage: (damage: Damage) => void) {
    this.#directory = directory;
    this.#segments = segments;
    this.#onDamage = onDamage;
  }

  /** Returns a record. @throws NoRecord if it is gone or damaged; system errors */
  async read(number: number): Promise<Buffer> {
    // Reads run one after another: they share an open file, which each read may replace.
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
        // Any error is expected if the file was rewritten in the meantime: then the record is at
        // another offset, and the open file was closed.
        if (this.#segments.find(number)?.table === table) throw error;
      }
    }
  }

  async #tryRead(number: number): Promise<Buffer> {
    const segment = this.#segments.find(number);
    if (segment === undefined) throw new NoRecord(`there is no record ${number}`);
    const file = await this.#openForReading(segment);
    // The offset has changed if the file was rewritten in the meantime.
    const offset = segment.table.offset(indexOf(number));
    if (offset === undefined) throw new NoRecord(`there is no record ${number}`);
    return readRecord(file, offset, number);
  }

  async #openForReading(segment: Segment): Promise<JournalFile> {
    if (this.#reading?.segment === segment) return this.#reading.file;
    const { table } = segment;
    const file = await this.#tryOpen(segment);
    if (file === undefined) throw new NoRecord(`${segment.name} was removed`);
    await this.#reading?.file.close();
    // If the segment was rewritten in the meantime, this is the old file.
    this.#reading = segment.table === table ? { segment, file } : undefined;
    if (this.#reading !== undefined) return file;
    await file.close();
    return this.#openForReading(segment);
  }

  /** Forgets the open file of a segment that was replaced or removed. */
  forgetFile(segment: Segment): void {
    if (this.#reading?.segment !== segment) return;
    void this.#reading.file.close().catch(() => undefined);
    this.#reading = undefined;
  }

  /**
   * Calls `visit` for each record that is not gone and has a number above `after`, in order, until
   * `visit` returns false. For many records this is faster than `read`.
   * @throws system errors of opening a file; errors of reading it are passed to `visit`
   */
  async readOn(after: number, visit: (record: ReadRecord) => boolean): Promise<void> {
    let last = after;
    const step = (record: ReadRecord) => {
      last = record.number;
      return visit(record);
    };
    for (const segment of this.#segments.all())
      for (;;) {
        if (recordNumber(segment.sequence, segment.table.length) <= last) break;
        const how = await this.#readSegmentOn(segment, last, step);
        if (how === "stopped") return;
        if (how === "read") break;
        // The file was rewritten: go on reading after the last visited record.
      }
  }

  async #readSegmentOn(
    segment: Segment,
    after: number,
    visit: (record: ReadRecord) => boolean,
  ): Promise<"read" | "stopped" | "rewritten"> {
    const { table } = segment;
    const file = await this.#tryOpen(segment);
    if (segment.table !== table) {
      await file?.close();
      return "rewritten";
    }
    const start = Math.max(0, after + 1 - recordNumber(segment.sequence, 0));
    const window = new Window(file);
    try {
      for (const { index } of table.entries(start)) {
        const number = recordNumber(segment.sequence, index);
        const payload = await window.frame(table.offset(index) ?? 0, number);
        if (segment.table !== table) return "rewritten";
        const state = this.#segments.state(number);
        if (state === undefined || state === RecordState.GONE) continue;
        if (!visit({ number, state, payload })) return "stopped";
      }
      return "read";
    } finally {
      await file?.close();
    }
  }

  /**
   * Reads the journal from its beginning and calls `visit` for each record that is not gone, and
   * for each mark of such a record. Notes are in the marks; the last mark of a record counts.
   * Unreadable parts are skipped and reported.
   * @throws system errors, except for EIO of reading
   */
  async visit(visit: (entry: Entry) => void): Promise<void> {
    for (const segment of this.#segments.all()) await this.#visitSegment(segment, visit);
  }

  /** Returns the notes of the latest marks of records. */
  async notes(numbers: readonly number[]): Promise<Map<number, string>> {
    const wanted = new Set(numbers);
    const sequences = new Set(numbers.map((number) => this.#segments.markedIn(number)));
    const notes = new Map<number, string>();
    for (const segment of this.#segments.all()) {
      if (!sequences.has(segment.sequence)) continue;
      await this.#visitSegment(segment, (entry) => {
        if (entry.kind === "mark" && wanted.has(entry.number)) notes.set(entry.number, entry.note);
      });
    }
    return notes;
  }

  async #visitSegment(segment: Segment, visit: (entry: Entry) => void): Promise<void> {
    const file = await this.#tryOpen(segment);
    if (file === undefined) return;
    try {
      const { damagedBytes } = await readSegment(file, ({ kind, number, payload }) => {
        const state = this.#segments.state(number);
        if (state === undefined || state === RecordState.GONE) return;
        if (kind === FrameKind.RECORD) visit({ kind: "record", number, state, payload });
        const mark = kind === FrameKind.MARK ? tryDecodeMark(payload) : undefined;
        if (mark !== undefined) visit({ kind: "mark", number, ...mark });
      });
      if (damagedBytes > 0) this.#isDamaged(segment, damageOf(segment, damagedBytes));
    } catch (error) {
      // This program does not know the segment's format, as was reported when the journal was
      // opened. The other segments are still read.
      if (error instanceof UnknownSegment) return;
      if (!isErrno(error, "EIO")) throw error;
      this.#isDamaged(segment, { file: segment.name, what: errorText(error) });
    } finally {
      await file.close();
    }
  }

  /** Reports a segment's damage, unless it is known already. */
  #isDamaged(segment: Segment, damage: Damage): void {
    if (segment.isDamaged) return;
    segment.isDamaged = true;
    this.#onDamage(damage);
  }

  /**
   * Opens the file of a segment. Returns undefined if the file was removed, by the journal or,
   * although still needed, by somebody else.
   */
  async #tryOpen(segment: Segment): Promise<JournalFile | undefined> {
    try {
      return await this.#directory.open(segment.name);
    } catch (error) {
      if (isErrno(error, "ENOENT")) return undefined;
      throw error;
    }
  }

  /** Closes the file that is being read, if one is open. */
  async close(): Promise<void> {
    await this.#reading?.file.close();
    this.#reading = undefined;
  }
}

/** A part of a file in memory, for reading frames that follow each other. */
class Window {
  readonly #file: JournalFile | undefined;
  readonly #buffer = Buffer.allocUnsafeSlow(CHUNK_SIZE);
  #start = 0;
  #length = 0;

  /** @param file owned by the caller; undefined if the file was removed */
  constructor(file: JournalFile | undefined) {
    this.#file = file;
  }

  /**
   * Returns the payload of the frame at an offset, valid until the next call, or the reason why
   * it cannot be read.
   */
  async frame(offset: number, number: number): Promise<Buffer | Error> {
    if (this.#file === undefined) return new NoRecord("the file was removed");
    try {
      const known = this.#tryFrame(offset, number);
      if (known !== undefined) return known;
      this.#length = await new PatientReader(this.#file).read(this.#buffer, offset);
      this.#start = offset;
      // The frame may be larger than the window, damaged, or missing.
      return this.#tryFrame(offset, number) ?? (await readRecord(this.#file, offset, number));
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
  }

  #tryFrame(offset: number, number: number): Buffer | undefined {
    const bytes = this.#buffer.subarray(0, this.#length);
    const at = offset - this.#start;
    if (at < 0 || at >= bytes.length) return undefined;
    const frame = tryReadFrame(bytes, at);
    if (frame === undefined || frame === "incomplete") return undefined;
    if (!isRecord(frame, number)) return undefined;
    return frame.payload;
  }
}
