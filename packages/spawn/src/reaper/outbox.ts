/**
 * Collects what is told to the main thread in a turn: each message costs more than its
 * contents. It bounds how much memory all of it takes until the main thread has taken it:
 * customers may give their cgroups attributes of a hundred kilobytes each.
 */
import { type EncodedRecord, encodeRecord, recordSize, tryParseRecord } from "@cm4all/cgroup";
import type { ParentThread } from "../thread/parent-thread.ts";
import type { ReaperDialogue, Release } from "./messages.ts";

export type TellMain = Pick<ParentThread<ReaperDialogue>, "post">;

/** While so much is under way, cgroups that ran empty wait in their directories. */
const MAX_BYTES = 4 * 1024 * 1024;

/** Those that others have removed have no directory to wait in. */
const MAX_VANISHED_BYTES = 24 * 1024 * 1024;

/** All that is known at the end of the first scan, by the cgroups' ids. */
export interface ScannedIds {
  readonly populated: string[];
  readonly empty: string[];
}

export class Outbox {
  readonly #main: TellMain;
  /** Told, and not taken yet. */
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

  /** Whether another cgroup may be released. */
  get hasRoom(): boolean {
    return this.#bytes < MAX_BYTES;
  }

  /** The main thread has let go of so many bytes. */
  taken(bytes: number): void {
    this.#bytes -= bytes;
  }

  /** Without room it is left out: the next report has its figures as well. */
  interim(record: EncodedRecord): void {
    if (!this.hasRoom) return;
    this.#bytes += recordSize(record);
    this.#interim.push(record);
  }

  /** Adds a release, whose bytes count until the main thread has let go of them. */
  released(release: Release): void {
    this.#bytes += recordSize(release.record);
    this.#released.push(release);
  }

  /**
   * Returns false, without effect, if there is no room for what has vanished either. One that
   * was found is told in any case, then without attributes: there may be a record of it, which
   * waits for that word.
   */
  tryVanished(release: Release): boolean {
    const hasRoom = this.#bytes < MAX_VANISHED_BYTES;
    if (!hasRoom && !release.isFound) return false;
    this.released(hasRoom ? release : { ...release, record: withoutXattrs(release.record) });
    return true;
  }

  /** Adds the number of a release that counts no more. */
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

  /** A release comes before all that is told of it, and what ran before it was released. */
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
