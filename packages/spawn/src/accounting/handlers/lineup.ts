/**
 * The records in memory and their order: who is next. Pure.
 *
 * Invariant: of a cgroup's id there is one record here, or one whose handler runs and one
 * later report that waits for it.
 */
import type { Entry } from "./entry.ts";

/** A record whose handler was interrupted so often runs alone: it may be what ends the host. */
const SUSPICIOUS_INTERRUPTIONS = 2;

/** A list ends with the record that makes it as large as this, in the journal. */
const MAX_LIST_BYTES = 4 * 1024 * 1024;

/** Returns whether no other handler is to run beside that of an entry. */
export function runsAlone({ interruptions }: Entry): boolean {
  return interruptions >= SUSPICIOUS_INTERRUPTIONS;
}

export class Lineup {
  /** By number. */
  readonly #entries = new Map<number, Entry>();
  /** Without those that wait for another one of their cgroup. */
  readonly #byId = new Map<string, Entry>();
  /** Those that can be handed over now, in their order. */
  readonly #ready = new Set<Entry>();
  /** Parts of lists whose handler has failed; the last one is next. */
  #parts: Entry[][] = [];

  /** How many can be handed over now. */
  get ready(): number {
    return this.#ready.size;
  }

  /** How large those are in the journal. */
  get readyBytes(): number {
    let sum = 0;
    for (const { bytes } of this.#ready) sum += bytes;
    return sum;
  }

  /** Returns an entry by its record's number. */
  get(number: number): Entry | undefined {
    return this.#entries.get(number);
  }

  /** Whether there is a record of that cgroup. */
  hasId(id: string): boolean {
    return this.#byId.has(id);
  }

  /** Adds a record. Returns the earlier report of its cgroup whose place it takes, if any. */
  add(entry: Entry): Entry | undefined {
    const other = this.#byId.get(entry.id);
    this.#entries.set(entry.number, entry);
    if (other === undefined) {
      this.#byId.set(entry.id, entry);
      this.#ready.add(entry);
      return undefined;
    }
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

  /** Forgets a record. The later report that has waited for it can be handed over then. */
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

  /** They can be handed over again, after all others. */
  putBack(group: readonly Entry[]): void {
    for (const entry of group)
      if (this.#entries.get(entry.number) === entry) this.#ready.add(entry);
  }

  /** Each half of a list is handed over by itself, before all others. */
  halve(group: readonly Entry[]): void {
    const middle = Math.ceil(group.length / 2);
    this.#parts.push(group.slice(middle), group.slice(0, middle));
  }

  /** Lists are not handed over in parts any more. */
  joinParts(): void {
    for (const part of this.#parts) this.putBack(part);
    this.#parts = [];
  }

  /**
   * Takes those that are next: parts of lists first, and alone those that have failed.
   * @param count at most so many
   * @param isBusy whether a cgroup has another handler
   * @param isIdle whether no handler runs
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
