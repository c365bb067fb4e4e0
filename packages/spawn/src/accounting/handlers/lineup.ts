/**
 * Orders the records in memory, and picks the next ones. Does no I/O.
 *
 * Invariant: for each cgroup's id there is at most one record here, except while its handler runs:
 * then there may also be a later report, which waits for that handler.
 */
import type { Entry } from "./entry.ts";

/**
 * After this many interruptions, a record's handler runs alone: it may be the one that makes the
 * script host end.
 */
const SUSPICIOUS_INTERRUPTIONS = 2;

/** A list ends with the record at which it reaches this size in the journal. */
const MAX_LIST_BYTES = 4 * 1024 * 1024;

/** Returns whether no other handler may run at the same time as the handler of this entry. */
export function runsAlone({ interruptions }: Entry): boolean {
  return interruptions >= SUSPICIOUS_INTERRUPTIONS;
}

export class Lineup {
  /** All records, by number. */
  readonly #entries = new Map<number, Entry>();
  /** The records by cgroup, without reports that wait until a handler of their cgroup ends. */
  readonly #byId = new Map<string, Entry>();
  /** The records that can be handed over now, in order. */
  readonly #ready = new Set<Entry>();
  /** Parts of lists whose handler has failed; the last part is next. */
  #parts: Entry[][] = [];

  /** The number of records that can be handed over now. */
  get ready(): number {
    return this.#ready.size;
  }

  /** The size in the journal of the records that can be handed over now. */
  get readyBytes(): number {
    let sum = 0;
    for (const { bytes } of this.#ready) sum += bytes;
    return sum;
  }

  /** Returns an entry by its record's number. */
  get(number: number): Entry | undefined {
    return this.#entries.get(number);
  }

  /** Returns whether there is a record of the cgroup. */
  hasId(id: string): boolean {
    return this.#byId.has(id);
  }

  /**
   * Adds a record. Returns the superseded one, if any: the earlier of two reports of its cgroup
   * that wait, or this record if the handler of a later report is running.
   */
  add(entry: Entry): Entry | undefined {
    const other = this.#byId.get(entry.id);
    this.#entries.set(entry.number, entry);
    if (other === undefined) {
      this.#byId.set(entry.id, entry);
      this.#ready.add(entry);
      return undefined;
    }
    // An administrator may have had the earlier report handed over again.
    if (other.isRunning && other.number > entry.number) return entry;
    const rival = other.isRunning ? other.successor : other;
    const [earlier, later] =
      rival !== undefined && rival.number > entry.number ? [entry, rival] : [rival, entry];
    if (other.isRunning) other.successor = later;
    else if (later === entry) {
      this.#byId.set(entry.id, entry);
      this.#ready.add(entry);
    }
    return earlier;
  }

  /** Removes a record. A later report that waited for its handler can then be handed over. */
  remove(entry: Entry): void {
    this.#entries.delete(entry.number);
    this.#ready.delete(entry);
    const current = this.#byId.get(entry.id);
    if (current !== entry) {
      if (current?.successor === entry) current.successor = undefined;
      return;
    }
    this.#byId.delete(entry.id);
    const { successor } = entry;
    if (successor === undefined) return;
    this.#byId.set(entry.id, successor);
    this.#ready.add(successor);
  }

  /** Makes records ready to be handed over again, after all others. */
  putBack(group: readonly Entry[]): void {
    for (const entry of group)
      if (this.#entries.get(entry.number) === entry) this.#ready.add(entry);
  }

  /** Has each half of a list handed over by itself, before all other records. */
  halve(group: readonly Entry[]): void {
    const middle = Math.ceil(group.length / 2);
    this.#parts.push(group.slice(middle), group.slice(0, middle));
  }

  /** Puts back all parts of lists, so that they are no longer handed over by themselves. */
  joinParts(): void {
    for (const part of this.#parts) this.putBack(part);
    this.#parts = [];
  }

  /**
   * Takes the next part of a list if there is one; otherwise the next records. A record whose
   * handler has failed through its own fault is taken alone.
   * @param count the maximum number of records; a part may have more
   * @param isBusy returns whether the handler of an interim report of a cgroup is running
   * @param isIdle true if no handler runs
   */
  take(count: number, isBusy: (id: string) => boolean, isIdle: boolean): Entry[] {
    const part = this.#takePart(isBusy);
    if (part !== undefined) return part;
    const taken: Entry[] = [];
    let bytes = 0;
    for (const entry of this.#ready) {
      if (taken.length >= count || bytes >= MAX_LIST_BYTES) break;
      if (isBusy(entry.id)) continue;
      if (taken.length > 0 && entry.failures > 0) break;
      if (runsAlone(entry) && !(isIdle && taken.length === 0)) break;
      taken.push(entry);
      bytes += entry.bytes;
      if (entry.failures > 0 || runsAlone(entry)) break;
    }
    for (const entry of taken) this.#ready.delete(entry);
    return taken;
  }

  #takePart(isBusy: (id: string) => boolean): Entry[] | undefined {
    for (let part = this.#parts.pop(); part !== undefined; part = this.#parts.pop()) {
      const left = part.filter((entry) => this.#entries.get(entry.number) === entry);
      if (left.length > 0 && !left.some(({ id }) => isBusy(id))) return left;
      this.putBack(left);
    }
    return undefined;
  }
}
