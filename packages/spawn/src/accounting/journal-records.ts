/**
 * What waits in a journal, as an administrator sees it, in constant memory also if there
 * are millions of records: each is read when its page is asked for. Reasons stand in
 * marks, which only a pass over the whole journal finds, so they are read for many records
 * at once.
 */
import { type CgroupRecord, tryParseRecord } from "@cm4all/cgroup";
import { type Journal, RecordState } from "@cm4all/journal";
import { errorText } from "@cm4all/linux";
import type { FoundRecord, RecordCondition, RecordSummary } from "./records.ts";

/** Of how many parked records the reasons are kept. */
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

export class JournalRecords {
  readonly #journal: Journal;
  #reasons: Reasons | undefined;

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  /** See AccountingRecords. @throws system errors of reading */
  async list(after: number, limit: number): Promise<RecordSummary[]> {
    // What was parked since an earlier list has a reason, too.
    if (after < 0) this.#reasons = undefined;
    for (;;) {
      const numbers = this.#numbersAfter(after, limit);
      const last = numbers.at(-1);
      if (last === undefined) return [];
      const page = await this.#read(numbers);
      // All of them may be done with meanwhile.
      if (page.length > 0) return page;
      after = last;
    }
  }

  #numbersAfter(after: number, limit: number): number[] {
    const numbers: number[] = [];
    for (const { number, state } of this.#journal.records(after)) {
      if (numbers.length >= limit) break;
      if (CONDITIONS.has(state)) numbers.push(number);
    }
    return numbers;
  }

  async #read(numbers: readonly number[]): Promise<RecordSummary[]> {
    const reasons = await this.#reasonsOf(numbers);
    const page: RecordSummary[] = [];
    for (const number of numbers) {
      const found = await this.#tryRead(number, reasons.get(number));
      if (found !== undefined) page.push(found.summary);
    }
    return page;
  }

  /** See AccountingRecords. @throws system errors of reading */
  async find(idOrNumber: string): Promise<FoundRecord[]> {
    const found: FoundRecord[] = [];
    for (const number of await this.#numbersOf(idOrNumber)) {
      const isParked = this.#journal.state(number) === RecordState.PARKED;
      const reasons = isParked ? (await this.#readReasons(number, number)).byNumber : undefined;
      const record = await this.#tryRead(number, reasons?.get(number));
      if (record !== undefined) found.push(record);
    }
    return found;
  }

  async #numbersOf(idOrNumber: string): Promise<number[]> {
    if (/^\d{1,15}$/.test(idOrNumber)) return [Number(idOrNumber)];
    const numbers: number[] = [];
    // Most records need not be parsed.
    const needle = JSON.stringify(idOrNumber);
    await this.#journal.visit((entry) => {
      if (entry.kind !== "record" || !entry.payload.includes(needle)) return;
      const record = tryParseRecord(entry.payload.toString());
      if (record?.snapshot.id === idOrNumber) numbers.push(entry.number);
    });
    return numbers;
  }

  /** Returns undefined if the record is done with by now. */
  async #tryRead(number: number, reason: string | undefined): Promise<FoundRecord | undefined> {
    let problem = "it cannot be read: it is not of this version";
    let record: CgroupRecord | undefined;
    try {
      const payload = await this.#journal.read(number);
      record = tryParseRecord(payload.toString());
    } catch (error) {
      problem = `it cannot be read: ${errorText(error)}`;
    }
    const state = CONDITIONS.get(this.#journal.state(number));
    if (state === undefined) return undefined;
    if (record === undefined) return { summary: { number, state, reason: problem }, record };
    const { id, report, path, measuredMs } = record.snapshot;
    const summary = { number, state, id, report, path, measuredMs };
    return { summary: reason === undefined ? summary : { ...summary, reason }, record };
  }

  /** @param numbers rising */
  async #reasonsOf(numbers: readonly number[]): Promise<ReadonlyMap<number, string>> {
    const parked = numbers.filter((each) => this.#journal.state(each) === RecordState.PARKED);
    const [first] = parked;
    const last = parked.at(-1);
    if (first === undefined || last === undefined) return new Map();
    const known = this.#reasons;
    if (known !== undefined && known.first <= first && last <= known.last) return known.byNumber;
    const reasons = await this.#readReasons(first, Math.max(last, this.#endOfWindow(first)));
    this.#reasons = reasons;
    return reasons.byNumber;
  }

  #endOfWindow(first: number): number {
    let count = 0;
    let last = first;
    for (const { number, state } of this.#journal.records(first - 1)) {
      last = number;
      if (state === RecordState.PARKED && ++count >= WINDOW) break;
    }
    return last;
  }

  async #readReasons(first: number, last: number): Promise<Reasons> {
    const byNumber = new Map<number, string>();
    // Thousands are parked for the same reason.
    const texts = new Map<string, string>();
    await this.#journal.visit((entry) => {
      if (entry.kind !== "mark" || entry.number < first || entry.number > last) return;
      if (entry.state !== RecordState.PARKED || entry.note === "") {
        byNumber.delete(entry.number);
        return;
      }
      const text = texts.get(entry.note) ?? entry.note;
      texts.set(text, text);
      byNumber.set(entry.number, text);
    });
    return { first, last, byNumber };
  }
}
