/**
 * Collects the messages of a turn for the main thread, because posting a message costs more than
 * its contents. Limits the memory of the messages that the main thread has not taken yet: customers
 * may give each of their cgroups a hundred kilobytes of attributes.
 */
import { type EncodedRecord, encodeRecord, recordSize, tryParseRecord } from "@cm4all/cgroup";
import { GarbageBound } from "@cm4all/linux";
import type { ParentThread } from "../thread/parent-thread.ts";
import type { ReaperDialogue, Release } from "./messages.ts";

export type TellMain = Pick<ParentThread<ReaperDialogue>, "post">;

/** The limit for bytes under way. Beyond it, empty cgroups are kept until there is room. */
const MAX_BYTES = 4 * 1024 * 1024;

/**
 * The higher limit for cgroups that others have removed: these cannot be kept until there is room.
 */
const MAX_VANISHED_BYTES = 24 * 1024 * 1024;

/** The ids of the cgroups that are known at the end of the first scan. */
export interface ScannedIds {
  readonly populated: string[];
  readonly empty: string[];
}

export class Outbox {
  readonly #main: TellMain;
  readonly #garbage = new GarbageBound();
  /** The number of bytes that were or will be posted and that the main thread has not taken yet. */
  #bytes = 0;
  #interim: EncodedRecord[] = [];
  #released: Release[] = [];
  #withdrawn: number[] = [];
  #kept: number[] = [];
  #deleted: number[] = [];
  #scanned: ScannedIds | undefined;

  constructor(main: TellMain) {
    this.#main = main;
  }

  /** Returns whether another cgroup may be released. */
  get hasRoom(): boolean {
    return this.#bytes < MAX_BYTES;
  }

  /** Subtracts bytes that the main thread has taken. */
  taken(bytes: number): void {
    this.#bytes -= bytes;
  }

  /**
   * Adds interim figures. If there is no room, they are left out: the next report includes them.
   */
  interim(record: EncodedRecord): void {
    if (!this.hasRoom) return;
    this.#bytes += recordSize(record);
    this.#interim.push(record);
  }

  /** Adds a release, whose bytes count until the main thread has taken them. */
  released(release: Release): void {
    const size = recordSize(release.record);
    this.#bytes += size;
    this.#garbage.passed(size);
    this.#released.push(release);
  }

  /**
   * Adds a release of a cgroup that has vanished. Returns false, without effect, if the limit for
   * vanished cgroups is reached. A cgroup that was found at startup is reported in any case, if
   * need be without attributes: there may already be a record of it, which waits for this report.
   */
  tryVanished(release: Release): boolean {
    const hasRoom = this.#bytes < MAX_VANISHED_BYTES;
    if (!hasRoom && !release.isFound) return false;
    this.released(hasRoom ? release : { ...release, record: withoutXattrs(release.record) });
    return true;
  }

  /** Adds the number of a release that is withdrawn. */
  withdrawn(release: number): void {
    this.#withdrawn.push(release);
  }

  /** Adds the number of a release whose directory cannot be deleted for now. */
  kept(release: number): void {
    this.#kept.push(release);
  }

  /** Adds the number of a release whose directory is gone. */
  deleted(release: number): void {
    this.#deleted.push(release);
  }

  /** Adds the ids of what the first scan has found. */
  scanned(ids: ScannedIds): void {
    this.#scanned = ids;
  }

  /**
   * Posts everything that was collected. A release comes before everything that refers to it, and
   * the interim figures of a cgroup come before its release.
   */
  flush(): void {
    if (this.#interim.length > 0) this.#main.post("interim", this.#interim);
    if (this.#released.length > 0) this.#main.post("released", this.#released);
    if (this.#scanned !== undefined)
      this.#main.post("scanned", this.#scanned.populated, this.#scanned.empty);
    if (this.#withdrawn.length > 0) this.#main.post("withdrawn", this.#withdrawn);
    if (this.#kept.length > 0) this.#main.post("kept", this.#kept);
    if (this.#deleted.length > 0) this.#main.post("deleted", this.#deleted);
    this.#interim = [];
    this.#released = [];
    this.#scanned = undefined;
    this.#withdrawn = [];
    this.#kept = [];
    this.#deleted = [];
  }
}

function withoutXattrs(record: EncodedRecord): EncodedRecord {
  const { snapshot } = tryParseRecord(record.json) ?? {};
  return snapshot === undefined ? record : encodeRecord({ snapshot, xattrs: [] });
}
