/** The segments of a journal, oldest first, and their records. */
import { errorText } from "@cm4all/linux";
import type { JournalDirectory, JournalFile } from "./directory.ts";
import { FrameKind } from "./frame.ts";
import { RecordState, RecordTable } from "./record-table.ts";
import { type Findings, readSegment, tryDecodeMark } from "./segment.ts";

/** The suffix of a file that is still being made: a rewritten segment or a reserve. */
export const TEMPORARY_SUFFIX = ".tmp";
/** The suffix of a segment whose damaged bytes are kept for a person to look at. */
export const DAMAGED_SUFFIX = ".damaged";

/**
 * A record's number consists of its segment's sequence number and its index in that segment. So
 * the number leads to the segment, and is not used again, even if a segment cannot be read. The
 * numbers start from the first again only if a run finds no segment at all, because no record was
 * left.
 */
const RECORDS_PER_SEGMENT = 2 ** 24;

/** Returns the number of the record with this index in this segment. */
export function recordNumber(sequence: number, index: number): number {
  return sequence * RECORDS_PER_SEGMENT + index;
}

/** Returns the sequence number of the segment that has a record. */
export function sequenceOf(number: number): number {
  return Math.floor(number / RECORDS_PER_SEGMENT);
}

/** Returns the index of a record in its segment. */
export function indexOf(number: number): number {
  return number % RECORDS_PER_SEGMENT;
}

function segmentName(sequence: number): string {
  return `${String(sequence).padStart(8, "0")}.journal`;
}

/** The highest sequence number: beyond it the numbers of records would not be safe integers. */
const MAX_SEQUENCE = Math.floor(Number.MAX_SAFE_INTEGER / RECORDS_PER_SEGMENT);

function tryParseName(name: string): number | undefined {
  const [, digits] = /^(\d{8,9})\.journal$/.exec(name) ?? [];
  const sequence = Number(digits ?? Number.NaN);
  return sequence <= MAX_SEQUENCE && segmentName(sequence) === name ? sequence : undefined;
}

/** What is kept in memory about one file of the journal. */
export class Segment {
  readonly sequence: number;
  readonly name: string;
  table = new RecordTable();
  /** The size up to the end of the last frame that is on the disk. */
  bytes = 0;
  /** True if it has damage: then its file is kept, even when all of its records are gone. */
  isDamaged = false;
  /** True if a compaction may find something to drop. */
  isStale = false;
  /** The time until which a compaction leaves the segment alone, by `performance.now()`. */
  pausedUntilMs = Number.NEGATIVE_INFINITY;
  /** The last reported reason why its space could not be freed. */
  toldFailure: string | undefined;
  /** The sequence numbers of other segments whose records are marked in this segment. */
  readonly marked = new Set<number>();

  constructor(sequence: number) {
    this.sequence = sequence;
    this.name = segmentName(sequence);
  }

  /**
   * The number of marks in the segment, and the number of those that are superseded by a later
   * mark of their record.
   */
  marks = 0;
  obsoleteMarks = 0;

  /** True if a rewrite saves enough: half or more of the records or marks are not needed. */
  get isWorthRewriting(): boolean {
    const { present, live } = this.table;
    if (present === 0 || 2 * live <= present) return true;
    return this.marks > 0 && 2 * this.obsoleteMarks >= this.marks;
  }
}

/** Damage that was found in a segment; for the log. */
export interface Damage {
  readonly file: string;
  readonly what: string;
}

/** Returns the report that a segment has this many damaged bytes. */
export function damageOf({ name }: Segment, bytes: number): Damage {
  return { file: name, what: `${bytes} damaged bytes` };
}

/** All files of the journal. */
export class Segments {
  /** The segments by their sequence numbers, in rising order. */
  readonly #segments = new Map<number, Segment>();
  #nextSequence = 1;
  /** The last segment that could not be read completely at startup: it may have held any mark. */
  #lastDamaged: Segment | undefined;
  /**
   * The sequence numbers of files whose reading stopped at startup, or which could not be opened.
   * The next start may be able to read them.
   */
  readonly #partlyRead = new Set<number>();

  get bytes(): number {
    let sum = 0;
    for (const { bytes } of this.#segments.values()) sum += bytes;
    return sum;
  }

  get live(): number {
    let sum = 0;
    for (const { table } of this.#segments.values()) sum += table.live;
    return sum;
  }

  /** Returns the number of records in a state. */
  count(state: RecordState): number {
    let sum = 0;
    for (const { table } of this.#segments.values()) sum += table.count(state);
    return sum;
  }

  /**
   * Returns the segments, oldest first, in a list that does not change when a segment is added or
   * removed.
   */
  all(): Segment[] {
    return [...this.#segments.values()];
  }

  /** Adds a segment at the end, and returns it. */
  append(): Segment {
    const segment = new Segment(this.#nextSequence++);
    this.#segments.set(segment.sequence, segment);
    return segment;
  }

  /** Undoes `append`. The segment must have no file, and nothing in it may have been confirmed. */
  giveBack(segment: Segment): void {
    this.remove(segment);
    if (segment.sequence === this.#nextSequence - 1) this.#nextSequence--;
  }

  /**
   * Removes a segment whose file was removed or has no records: marks of its records need no longer
   * be kept.
   */
  remove(segment: Segment): void {
    this.#segments.delete(segment.sequence);
    this.dropped(segment);
  }

  /** Notes that records were dropped from the file: their marks need no longer be kept. */
  dropped(segment: Segment): void {
    for (const each of this.#segments.values())
      if (each.marked.has(segment.sequence)) each.isStale = true;
  }

  /** Notes that `segment` has the latest mark of a record. */
  addMark(segment: Segment, number: number): void {
    const sequence = sequenceOf(number);
    segment.marks++;
    if (sequence !== segment.sequence) segment.marked.add(sequence);
    const table = this.#segments.get(sequence)?.table;
    const earlier = table?.markedIn(indexOf(number));
    table?.setMarkedIn(indexOf(number), segment.sequence);
    if (earlier === undefined) return;
    const holder = this.#segments.get(earlier);
    if (holder === undefined) return;
    holder.obsoleteMarks++;
    if (holder.isWorthRewriting) holder.isStale = true;
  }

  /** Returns the sequence number of the segment with a record's latest mark, if it is known. */
  markedIn(number: number): number | undefined {
    return this.#segments.get(sequenceOf(number))?.table.markedIn(indexOf(number));
  }

  /**
   * Returns the name of a damaged file that may have held a later mark of the record than the one
   * that is known; undefined if there is no such file. Marks are in the record's segment or in
   * later segments, so a mark in a segment after the damaged one ends the doubt.
   */
  doubtfulFor(number: number): string | undefined {
    if (this.#lastDamaged === undefined) return undefined;
    const latest = Math.max(sequenceOf(number), this.markedIn(number) ?? 0);
    return latest <= this.#lastDamaged.sequence ? this.#lastDamaged.name : undefined;
  }

  /** Returns true if earlier segments have records: marks in `segment` may be about these. */
  hasRecordsBefore(segment: Segment): boolean {
    if ([...this.#partlyRead].some((sequence) => sequence < segment.sequence)) return true;
    return this.all().some(
      ({ sequence, table }) => sequence < segment.sequence && table.present > 0,
    );
  }

  /** Returns true if there is a file with this sequence number, even if it was never opened. */
  has(sequence: number): boolean {
    return this.#segments.has(sequence) || this.isPartlyRead(sequence);
  }

  /**
   * Returns true if the file with this sequence number may have records and marks that were not
   * read. It has to stay as it is, and marks of its records have to stay, too.
   */
  isPartlyRead(sequence: number): boolean {
    return this.#partlyRead.has(sequence);
  }

  /** Returns the segment whose file has the record, even if the record is gone. */
  find(number: number): Segment | undefined {
    const segment = this.#segments.get(sequenceOf(number));
    return segment?.table.has(indexOf(number)) === true ? segment : undefined;
  }

  /** Returns the state of a record; undefined if no record has that number. */
  state(number: number): RecordState | undefined {
    return this.#segments.get(sequenceOf(number))?.table.state(indexOf(number));
  }

  /** Gives a record a state. Returns false, without effect, if it is gone or does not exist. */
  setState(number: number, state: RecordState): boolean {
    const segment = this.#segments.get(sequenceOf(number));
    if (segment?.table.setState(indexOf(number), state) !== true) return false;
    if (state === RecordState.GONE) segment.isStale = true;
    return true;
  }

  /**
   * Reads the segments of earlier runs and syncs them: a run that was killed may have left its
   * last writes only in the kernel's memory, and a power failure must not undo decisions that are
   * based on these writes. Returns the damage.
   * @param names the names of the files in the directory
   * @throws system errors of the directory itself, and of writing to the disk
   */
  async load(directory: JournalDirectory, names: readonly string[]): Promise<Damage[]> {
    const damage: Damage[] = [];
    for (const name of names) if (name.endsWith(TEMPORARY_SUFFIX)) await directory.remove(name);
    const sequences = names.map(tryParseName).filter((sequence) => sequence !== undefined);
    for (const sequence of sequences.sort((a, b) => a - b)) {
      const name = segmentName(sequence);
      this.#nextSequence = Math.max(this.#nextSequence, sequence + 1);
      const segment = new Segment(sequence);
      segment.isStale = true;
      let file: JournalFile | undefined;
      try {
        file = await directory.open(name);
        const { damagedBytes, tornBytes } = await this.#read(file, segment);
        if (damagedBytes > 0) {
          segment.isDamaged = true;
          this.#lastDamaged = segment;
          damage.push(damageOf(segment, damagedBytes));
        } else if (tornBytes > 0) await tryCut(directory, segment);
      } catch (error) {
        // The part that was read stays in use. The file itself is left alone.
        this.#partlyRead.add(sequence);
        segment.isDamaged = true;
        segment.isStale = false;
        this.#lastDamaged = segment;
        damage.push({ file: name, what: `reading stopped: ${errorText(error)}` });
      }
      try {
        await file?.sync();
      } finally {
        await file?.close();
      }
    }
    await directory.sync();
    return damage;
  }

  async #read(file: JournalFile, segment: Segment): Promise<Findings> {
    this.#segments.set(segment.sequence, segment);
    const findings = await readSegment(file, ({ kind, number, payload }, offset) => {
      segment.bytes = offset + payload.length;
      if (kind === FrameKind.RECORD) {
        if (sequenceOf(number) === segment.sequence) segment.table.add(indexOf(number), offset);
        return;
      }
      const mark = tryDecodeMark(payload);
      if (mark !== undefined) this.setState(number, mark.state);
      this.addMark(segment, number);
    });
    segment.bytes = findings.end;
    return findings;
  }
}

/**
 * Cuts off the bytes after the last frame: the rest of a write, or the zeros of a reserve. If
 * that fails, the next start finds the bytes again.
 */
async function tryCut(directory: JournalDirectory, { name, bytes }: Segment): Promise<void> {
  try {
    const file = await directory.reopen(name);
    try {
      await file.truncate(bytes);
    } finally {
      await file.close();
    }
  } catch {
    // Disk errors are reported when a write fails.
  }
}
