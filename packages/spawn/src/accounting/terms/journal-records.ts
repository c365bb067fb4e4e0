/**
 * Lists the records of a journal for an administrator. Memory stays bounded even with millions of
 * records: a page is read when it is asked for, in the order of the files. The reasons of parked
 * records are in marks, often in other files, so the reasons for many records are read in one pass.
 */
import { tryParseRecord } from "@cm4all/cgroup";
import { type Journal, RecordState } from "@cm4all/journal";
import { errorText } from "@cm4all/linux";
import type { FoundRecord, RecordCondition, RecordSummary } from "./records.ts";

/**
 * The minimum number of parked records whose reasons are read in one pass, if that many are parked.
 */
const WINDOW = 50_000;

const CONDITIONS = new Map<RecordState | undefined, RecordCondition>([
  [RecordState.WAITING, "waiting"],
  [RecordState.BEGAN, "began"],
  [RecordState.PARKED, "parked"],
]);

/** The reasons of the parked records in a range of numbers. */
interface Reasons {
  readonly first: number;
  readonly last: number;
  readonly byNumber: ReadonlyMap<number, string>;
}

const NO_REASONS: ReadonlyMap<number, string> = new Map();

export class JournalRecords {
  readonly #journal: Journal;
  #reasons: Reasons | undefined;

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  /** See AccountingRecords. @throws system errors of reading */
  async list(after: number, limit: number): Promise<RecordSummary[]> {
    // A new list: records may have been parked since the reasons were read.
    if (after < 0) this.#reasons = undefined;
    const page: RecordSummary[] = [];
    await this.#journal.readOn(after, ({ number, payload }) => {
      const found = this.#tryUnderstand(number, payload);
      if (found !== undefined) page.push(found.summary);
      return page.length < limit;
    });
    const reasons = await this.#reasonsOf(page.map(({ number }) => number));
    return page.map((summary) => withReason(summary, reasons.get(summary.number)));
  }

  /** See AccountingRecords. @throws system errors of reading */
  async find(idOrNumber: string): Promise<FoundRecord[]> {
    const found: FoundRecord[] = [];
    for (const number of await this.#numbersOf(idOrNumber)) {
      const record = this.#tryUnderstand(number, await this.#read(number));
      if (record === undefined) continue;
      const isParked = record.summary.state === "parked";
      const reasons = isParked ? await this.#journal.notes([number]) : NO_REASONS;
      found.push({ ...record, summary: withReason(record.summary, reasons.get(number)) });
    }
    return found;
  }

  async #read(number: number): Promise<Buffer | Error> {
    try {
      return await this.#journal.read(number);
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
  }

  async #numbersOf(idOrNumber: string): Promise<number[]> {
    if (/^\d{1,15}$/.test(idOrNumber)) return [Number(idOrNumber)];
    const numbers: number[] = [];
    // A record without these bytes need not be parsed.
    const needle = JSON.stringify(idOrNumber);
    await this.#journal.visit((entry) => {
      if (entry.kind !== "record" || !entry.payload.includes(needle)) return;
      const record = tryParseRecord(entry.payload.toString());
      if (record?.snapshot.id === idOrNumber) numbers.push(entry.number);
    });
    return numbers;
  }

  /** Returns undefined if the record has gone, or is in a state that administrators do not see. */
  #tryUnderstand(number: number, payload: Buffer | Error): FoundRecord | undefined {
    const state = CONDITIONS.get(this.#journal.state(number));
    if (state === undefined) return undefined;
    if (payload instanceof Error) return unreadable(number, state, errorText(payload));
    const record = tryParseRecord(payload.toString());
    if (record === undefined)
      return unreadable(number, state, "it is not a record that this version can read");
    const { id, report, path, measuredMs } = record.snapshot;
    return { summary: { number, state, id, report, path, measuredMs }, record };
  }

  /** Returns the reasons of those records that are parked. @param numbers in ascending order */
  async #reasonsOf(numbers: readonly number[]): Promise<ReadonlyMap<number, string>> {
    const parked = numbers.filter((each) => this.#journal.state(each) === RecordState.PARKED);
    const [first] = parked;
    const last = parked.at(-1);
    if (first === undefined || last === undefined) return NO_REASONS;
    const known = this.#reasons;
    if (known !== undefined && known.first <= first && last <= known.last) return known.byNumber;
    const window = this.#window(first, last);
    const notes = await this.#journal.notes(window);
    // Thousands may be parked for the same reason: its text is kept once.
    const texts = new Map<string, string>();
    for (const [number, note] of notes) {
      const text = texts.get(note) ?? note;
      texts.set(text, text);
      notes.set(number, text);
    }
    this.#reasons = { first, last: window.at(-1) ?? last, byNumber: notes };
    return notes;
  }

  /**
   * Returns the numbers of all parked records from `first` to `last`; if there are fewer than
   * `WINDOW`, also those of later parked records, up to `WINDOW` in all.
   */
  #window(first: number, last: number): number[] {
    const numbers: number[] = [];
    for (const { number, state } of this.#journal.records(first - 1)) {
      if (number > last && numbers.length >= WINDOW) break;
      if (state === RecordState.PARKED) numbers.push(number);
    }
    return numbers;
  }
}

function withReason(summary: RecordSummary, reason: string | undefined): RecordSummary {
  return reason === undefined || reason === "" ? summary : { ...summary, reason };
}

function unreadable(number: number, state: RecordCondition, why: string): FoundRecord {
  return { summary: { number, state, reason: `it cannot be read: ${why}` }, record: undefined };
}
