/**
 * The offsets and states of the records of a segment, and the segments of their latest marks.
 * In a long outage a million records may wait. So a record is not an object: it takes five bytes
 * here, and four more once any record of its segment has been marked as anything other than gone.
 */

/** The state of a record in the journal. */
export const RecordState = {
  /** Its handler has not begun. */
  WAITING: 0,
  /** Its handler has begun, and the outcome is not known. */
  BEGAN: 1,
  /** An administrator has to decide. */
  PARKED: 2,
  /** It is no longer needed. */
  GONE: 3,
  /** Its handler is done; the record is kept for later reports of the same cgroup. */
  ACCOUNTED: 4,
  /** Another record is being written in its place. */
  REPLACED: 5,
} as const;
export type RecordState = (typeof RecordState)[keyof typeof RecordState];

/** Each state at the index of its value. */
const STATES = Object.values(RecordState);

/** Returns the state that a value stands for; undefined if there is none. */
export function tryRecordState(value: number | undefined): RecordState | undefined {
  return value === undefined ? undefined : STATES[value];
}

export class RecordTable {
  /**
   * The offset of each record, by its index in the segment; 0, where the header is, if the record
   * is not in the file.
   */
  #offsets = new Uint32Array(64);
  #states = new Uint8Array(64);
  /** The segment with the latest mark of each record, by the record's index; 0 if there is none. */
  #marks: Uint32Array | undefined;
  #length = 0;
  #present = 0;
  /** The number of records in each state. */
  readonly #counts = new Uint32Array(STATES.length);

  /** The highest index plus 1. */
  get length(): number {
    return this.#length;
  }

  /** The number of records in the file, including those that are gone. */
  get present(): number {
    return this.#present;
  }

  /** The number of records that are not gone. */
  get live(): number {
    return this.#present - this.count(RecordState.GONE);
  }

  /** Returns the number of records in a state. */
  count(state: RecordState): number {
    return this.#counts[state] ?? 0;
  }

  /** Adds a record of the file; has no effect if the record was added before. */
  add(index: number, offset: number, state: RecordState = RecordState.WAITING): void {
    if (this.has(index)) return;
    if (index >= this.#offsets.length) this.#grow(index + 1);
    this.#offsets[index] = offset;
    this.#states[index] = state;
    this.#length = Math.max(this.#length, index + 1);
    this.#present++;
    this.#counts[state] = this.count(state) + 1;
  }

  #grow(length: number): void {
    const size = Math.max(length, this.#offsets.length * 2);
    const offsets = new Uint32Array(size);
    offsets.set(this.#offsets);
    this.#offsets = offsets;
    const states = new Uint8Array(size);
    states.set(this.#states);
    this.#states = states;
    if (this.#marks === undefined) return;
    const marks = new Uint32Array(size);
    marks.set(this.#marks);
    this.#marks = marks;
  }

  /** Returns true if the file has the record, even if it is gone. */
  has(index: number): boolean {
    return (this.#offsets[index] ?? 0) !== 0;
  }

  /** Returns the offset of the record's frame; undefined if it is not in the file. */
  offset(index: number): number | undefined {
    return this.has(index) ? this.#offsets[index] : undefined;
  }

  /**
   * Returns the sequence number of the segment with the record's latest mark; undefined if none
   * is known.
   */
  markedIn(index: number): number | undefined {
    const sequence = this.has(index) ? this.#marks?.[index] : undefined;
    return sequence === 0 ? undefined : sequence;
  }

  /**
   * Notes the segment with the latest mark of a record. Most records are marked only once, as gone:
   * as long as a table has no other marks, nothing is noted.
   */
  setMarkedIn(index: number, sequence: number): void {
    if (!this.has(index)) return;
    if (this.#marks === undefined && this.state(index) === RecordState.GONE) return;
    this.#marks ??= new Uint32Array(this.#offsets.length);
    this.#marks[index] = sequence;
  }

  /** Returns the state of a record; undefined if there is none. */
  state(index: number): RecordState | undefined {
    return this.has(index) ? tryRecordState(this.#states[index]) : undefined;
  }

  /** Sets a record's state. Returns false, without effect, if it is gone or does not exist. */
  setState(index: number, state: RecordState): boolean {
    const before = this.state(index);
    if (before === undefined || before === RecordState.GONE) return false;
    this.#states[index] = state;
    this.#counts[before] = this.count(before) - 1;
    this.#counts[state] = this.count(state) + 1;
    return true;
  }

  /** Iterates over the records that are not gone, from `start` on. */
  *entries(start = 0): Generator<{ index: number; state: RecordState }> {
    for (let index = start; index < this.#length; index++) {
      const state = this.state(index);
      if (state !== undefined && state !== RecordState.GONE) yield { index, state };
    }
  }
}
