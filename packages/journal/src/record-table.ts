/**
 * Where the records of a segment stand, what state they are in, and where the mark is
 * that says so. A million records wait in a long outage, so a record costs five bytes here
 * and no object, and four more once one of its segment is marked as anything but gone.
 */

/** The state of a record in the journal. */
export const RecordState = {
  /** Nothing has been done with it. */
  WAITING: 0,
  /** A handler has begun with it; what came of that is not known. */
  BEGAN: 1,
  /** An administrator is to decide. */
  PARKED: 2,
  /** It is done with: forgotten. */
  GONE: 3,
  /** It is done with, and kept for what may follow it. */
  ACCOUNTED: 4,
  /** Another record is being written in its place. */
  REPLACED: 5,
} as const;
export type RecordState = (typeof RecordState)[keyof typeof RecordState];

/** Each at the index of its value. */
const STATES = Object.values(RecordState);

/** Returns the state of that value; undefined if there is none. */
export function tryRecordState(value: number | undefined): RecordState | undefined {
  return value === undefined ? undefined : STATES[value];
}

export class RecordTable {
  /** By the record's index in its segment; 0 (the segment's header) if it is not in the file. */
  #offsets = new Uint32Array(64);
  #states = new Uint8Array(64);
  /** By index, the sequence number of the segment that has its latest mark; 0 if there is none. */
  #marks: Uint32Array | undefined;
  #length = 0;
  #present = 0;
  /** How many records have each state. */
  readonly #counts = new Uint32Array(STATES.length);

  /** The highest index and 1. */
  get length(): number {
    return this.#length;
  }

  /** How many records the file holds, done with or not. */
  get present(): number {
    return this.#present;
  }

  /** How many of them are not done with. */
  get live(): number {
    return this.#present - this.count(RecordState.GONE);
  }

  /** How many of them have that state. */
  count(state: RecordState): number {
    return this.#counts[state] ?? 0;
  }

  /** Adds a record that the file holds; without effect if it is there. */
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

  /** Returns whether the file holds the record, done with or not. */
  has(index: number): boolean {
    return (this.#offsets[index] ?? 0) !== 0;
  }

  /** Returns where the record's frame begins; undefined if the file does not hold it. */
  offset(index: number): number | undefined {
    return this.has(index) ? this.#offsets[index] : undefined;
  }

  /** Returns the sequence number of the segment with the record's latest mark; undefined if none is known. */
  markedIn(index: number): number | undefined {
    const sequence = this.has(index) ? this.#marks?.[index] : undefined;
    return sequence === 0 ? undefined : sequence;
  }

  /**
   * Notes where the latest mark of a record is. Most records are marked once, as gone: of
   * them nothing has to be known.
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

  /** Sets a record's state. Returns false, without effect, once it is gone. */
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
