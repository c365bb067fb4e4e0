/** Tracks the records of cgroups whose directories exist. */
import type { EncodedRecord } from "@cm4all/cgroup";
import type { WaitingRecord } from "../journal/window.ts";

/** A record of a cgroup, from its release until the directory is gone. */
export interface Tracked {
  readonly id: string;
  report: number;
  readonly cpuTotalUsec: number | undefined;
  /** Undefined until it is on the disk. */
  number: number | undefined;
  /** True if it is on the disk, and any record that it replaces is marked as gone. */
  isWritten: boolean;
  /**
   * Resolves when the record is written, or when it is certain that it will not be. If another
   * record of the cgroup follows, resolves when this holds for that record.
   */
  written: Promise<void>;
  /** The record itself, until it is given to the journal. */
  record: EncodedRecord | undefined;
  /** The record, kept in memory because its handler will probably be called soon. */
  fresh: WaitingRecord | undefined;
  /**
   * The number that the reaper's current thread gave the release; undefined if the release came
   * from an earlier thread, or the cgroup had vanished.
   */
  release: number | undefined;
  /** True if it is not to be accounted, because its cgroup has processes again. */
  isWithdrawn: boolean;
  isDeleted: boolean;
  isHandedOver: boolean;
  /** The latest of the earlier records of the cgroup that have not been replaced. */
  earlier: Tracked | undefined;
}

/** Returns a record with these fields; by default it is new, and not written yet. */
export function newTracked(
  fields: Pick<Tracked, "id" | "report" | "cpuTotalUsec"> & Partial<Tracked>,
): Tracked {
  return {
    number: undefined,
    isWritten: false,
    written: Promise.resolve(),
    record: undefined,
    fresh: undefined,
    release: undefined,
    isWithdrawn: false,
    isDeleted: false,
    isHandedOver: false,
    earlier: undefined,
    ...fields,
  };
}

/** Finds records by their number, and the latest record of a cgroup by the cgroup's id. */
export class TrackedRecords {
  readonly #byId = new Map<string, Tracked>();
  readonly #byNumber = new Map<number, Tracked>();

  get size(): number {
    return this.#byId.size;
  }

  /** Returns the latest record of each cgroup. */
  latest(): Tracked[] {
    return [...this.#byId.values()];
  }

  /** Returns the latest record of a cgroup. */
  ofId(id: string): Tracked | undefined {
    return this.#byId.get(id);
  }

  /** Returns a record by its number. */
  ofNumber(number: number): Tracked | undefined {
    return this.#byNumber.get(number);
  }

  /** Adds the latest record of a cgroup. */
  add(tracked: Tracked): void {
    this.#byId.set(tracked.id, tracked);
    this.addNumber(tracked);
  }

  /** Makes a record findable by its number, if that is known. */
  addNumber(tracked: Tracked): void {
    if (tracked.number !== undefined) this.#byNumber.set(tracked.number, tracked);
  }

  /** Removes a record. The earlier record of its cgroup, if there is one, is then the latest. */
  remove(tracked: Tracked): void {
    if (tracked.number !== undefined) this.#byNumber.delete(tracked.number);
    if (this.#byId.get(tracked.id) !== tracked) return;
    if (tracked.earlier === undefined) this.#byId.delete(tracked.id);
    else this.#byId.set(tracked.id, tracked.earlier);
  }
}
