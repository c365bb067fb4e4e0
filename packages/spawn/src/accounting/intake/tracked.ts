/** The records of cgroups whose directories are there. */
import type { EncodedRecord } from "@cm4all/cgroup";
import type { WaitingRecord } from "../journal/window.ts";

/** A record of a cgroup, from its release until the directory is gone. */
export interface Tracked {
  readonly id: string;
  report: number;
  readonly cpuTotalUsec: number | undefined;
  /** Undefined until it is on the disk. */
  number: number | undefined;
  /** Whether it is on the disk, and the one in whose place it stands is gone there. */
  isWritten: boolean;
  /** Resolves when it is written, or is not going to be. */
  written: Promise<void>;
  /** Itself, until it is on the disk. */
  record: EncodedRecord | undefined;
  /** For the handler that follows soon. */
  fresh: WaitingRecord | undefined;
  /** Its number in the reaper's thread that runs; undefined if an earlier thread told it. */
  release: number | undefined;
  /** It is not to be accounted: its cgroup runs again. */
  isWithdrawn: boolean;
  isDeleted: boolean;
  isHandedOver: boolean;
  /** A record of the same cgroup that was handed over before. */
  earlier: Tracked | undefined;
}

/** Returns a report of which nothing is written yet, with these fields. */
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

/** By the cgroup's id, with the latest record of each, and by the record's number. */
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

  /** Returns the latest report of a cgroup. */
  ofId(id: string): Tracked | undefined {
    return this.#byId.get(id);
  }

  /** Returns a report by its record's number. */
  ofNumber(number: number): Tracked | undefined {
    return this.#byNumber.get(number);
  }

  /** Adds the latest record of a cgroup. */
  add(tracked: Tracked): void {
    this.#byId.set(tracked.id, tracked);
    this.addNumber(tracked);
  }

  /** Its number is known. */
  addNumber(tracked: Tracked): void {
    if (tracked.number !== undefined) this.#byNumber.set(tracked.number, tracked);
  }

  /** Removes a record; the one before it is the latest then. */
  remove(tracked: Tracked): void {
    if (tracked.number !== undefined) this.#byNumber.delete(tracked.number);
    if (this.#byId.get(tracked.id) !== tracked) return;
    if (tracked.earlier === undefined) this.#byId.delete(tracked.id);
    else this.#byId.set(tracked.id, tracked.earlier);
  }
}
