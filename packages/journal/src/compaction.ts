/**
 * Frees the space of records that are gone, one segment at a time.
 *
 * A mark has to stay as long as any file has its record; otherwise the record would come back at
 * the next start. So a segment without live records is removed only when no mark in it is about a
 * record in another file, and each removal is on the disk before the next one begins.
 */

import { errorText, isErrno } from "@cm4all/linux";
import type { JournalDirectory, JournalFile } from "./directory.ts";
import { encodeFrames, type Frame, FrameKind, frameSize } from "./frame.ts";
import { RecordState, RecordTable } from "./record-table.ts";
import { isDiskFull } from "./reserve.ts";
import { encodeHeader, readSegment } from "./segment.ts";
import {
  DAMAGED_SUFFIX,
  indexOf,
  type Segment,
  type Segments,
  sequenceOf,
  TEMPORARY_SUFFIX,
} from "./segments.ts";

/** The time for which a segment that could not be removed or rewritten is left alone. */
const PAUSE_MS = 10_000;

/** What a rewrite keeps of a segment. */
interface Collected {
  readonly kept: readonly Frame[];
  readonly dropped: number;
  readonly isWhole: boolean;
}

export class Compaction {
  readonly #directory: JournalDirectory;
  readonly #segments: Segments;
  readonly #onReplaced: (segment: Segment) => void;
  readonly #overtaking: () => ReadonlySet<number>;
  readonly #onFailure: (segment: Segment, reason: string) => void;
  /** Segments that are left alone because the disk had no room to rewrite them. */
  readonly #lackRoom = new Set<Segment>();
  /** True if a removal or renaming of a file may not be on the disk yet. */
  #isUnsynced = false;

  /**
   * @param onReplaced called when the file of a segment has been replaced or removed
   * @param overtaking see Writer.overtaking
   * @param onFailure called each time that a segment cannot be removed or rewritten
   */
  constructor(
    directory: JournalDirectory,
    segments: Segments,
    onReplaced: (segment: Segment) => void,
    overtaking: () => ReadonlySet<number>,
    onFailure: (segment: Segment, reason: string) => void,
  ) {
    this.#directory = directory;
    this.#segments = segments;
    this.#onReplaced = onReplaced;
    this.#overtaking = overtaking;
    this.#onFailure = onFailure;
  }

  /**
   * Removes a segment that nothing needs. Returns true if a segment was removed.
   * @throws system errors of syncing the directory
   */
  tryRemove(active: Segment | undefined): Promise<boolean> {
    return this.#tryFirst(
      (segment) => segment !== active && segment.isStale && this.#isUnneeded(segment),
      (segment) => this.#remove(segment),
    );
  }

  /**
   * Rewrites a segment that is worth rewriting. Returns false if there is none, or if every attempt
   * fails.
   * @throws system errors of syncing the directory
   */
  tryRewrite(active: Segment | undefined): Promise<boolean> {
    return this.#tryFirst(
      (segment) => segment !== active && segment.isStale && this.#isToRewrite(segment),
      async (segment) => {
        segment.isStale = false;
        await this.#rewrite(segment);
      },
    );
  }

  /**
   * Calls `step` with the segments that `isMeant` accepts, the oldest first, until one of the calls
   * succeeds. Returns false if none does.
   */
  async #tryFirst(
    isMeant: (segment: Segment) => boolean,
    step: (segment: Segment) => Promise<void>,
  ): Promise<boolean> {
    await this.#sync();
    for (const segment of this.#segments.all()) {
      if (performance.now() < segment.pausedUntilMs || !isMeant(segment)) continue;
      try {
        await step(segment);
        this.#endPausesForRoom();
        return true;
      } catch (error) {
        // Perhaps only this file has a fault, or is too large for the remaining space.
        this.#pause(segment, error);
        await this.#sync();
      }
    }
    return false;
  }

  #pause(segment: Segment, error: unknown): void {
    segment.isStale = true;
    segment.pausedUntilMs = performance.now() + PAUSE_MS;
    // A full disk is reported when a write fails.
    if (isDiskFull(error)) this.#lackRoom.add(segment);
    else this.#onFailure(segment, errorText(error));
  }

  /** Ends the pauses of segments for which the disk had no room: it may have more room by now. */
  #endPausesForRoom(): void {
    for (const segment of this.#lackRoom) segment.pausedUntilMs = Number.NEGATIVE_INFINITY;
    this.#lackRoom.clear();
  }

  #isUnneeded(segment: Segment): boolean {
    if (segment.table.live > 0 || this.#overtaking().has(segment.sequence)) return false;
    if (this.#segments.isPartlyRead(segment.sequence)) return false;
    if ([...segment.marked].some((sequence) => this.#segments.has(sequence))) return false;
    return !this.#isWitness(segment);
  }

  #isToRewrite(segment: Segment): boolean {
    if (segment.isWorthRewriting && !this.#segments.isPartlyRead(segment.sequence))
      return !this.#overtaking().has(segment.sequence);
    // The segment becomes stale again when more of its records are gone.
    segment.isStale = false;
    return false;
  }

  /**
   * Returns true if the segment has to stay because of its damage. Marks in it may be unreadable,
   * and only the file itself shows, at each start, that there may have been such marks (see
   * Segments.doubtfulFor).
   */
  #isWitness(segment: Segment): boolean {
    return segment.isDamaged && this.#segments.hasRecordsBefore(segment);
  }

  /** Syncs the last removal or renaming, which has to be on the disk before the next one. */
  async #sync(): Promise<void> {
    if (!this.#isUnsynced) return;
    await this.#directory.sync();
    this.#isUnsynced = false;
  }

  async #remove(segment: Segment): Promise<void> {
    this.#isUnsynced = true;
    try {
      if (segment.isDamaged)
        await this.#directory.rename(segment.name, `${segment.name}${DAMAGED_SUFFIX}`);
      else await this.#directory.remove(segment.name);
    } catch (error) {
      // A previous step, whose sync failed, or somebody else has removed the file.
      if (!isErrno(error, "ENOENT")) throw error;
    }
    await this.#sync();
    this.#segments.remove(segment);
    this.#onReplaced(segment);
  }

  async #removeIfThere(name: string): Promise<void> {
    try {
      await this.#directory.remove(name);
    } catch (error) {
      if (!isErrno(error, "ENOENT")) throw error;
    }
  }

  async #rewrite(segment: Segment): Promise<void> {
    const collected = await this.#collect(segment);
    // Somebody has removed the file; whoever reads its records gets the error.
    if (collected === undefined) return;
    const { kept, dropped, isWhole } = collected;
    if (this.#overtaking().has(segment.sequence)) {
      // Records of the segment were marked as gone while it was read.
      segment.isStale = true;
      return;
    }
    if (kept.length === 0 && segment.table.live === 0 && !this.#isWitness(segment))
      return this.#remove(segment);
    // After a start every segment is stale, even one whose marks are all needed.
    if (dropped === 0) return;
    // A rewrite would lose the damaged bytes. Keeping the whole file costs little: damage is rare.
    if (segment.isDamaged || !isWhole) return;
    const header = encodeHeader(segment.sequence);
    const bytes = Buffer.concat([header, encodeFrames(kept)]);
    const name = `${segment.name}${TEMPORARY_SUFFIX}`;
    // An earlier rewrite that failed may have left the file behind, if removing it failed, too.
    await this.#removeIfThere(name);
    const file = await this.#directory.create(name);
    try {
      await file.write(bytes, 0);
    } catch (error) {
      await this.#directory.remove(name).catch(() => undefined);
      throw error;
    } finally {
      await file.close();
    }
    if (this.#overtaking().has(segment.sequence)) {
      // The next rewrite drops the records that were marked as gone during this one.
      segment.isStale = true;
      return this.#directory.remove(name);
    }
    this.#isUnsynced = true;
    try {
      await this.#directory.rename(name, segment.name);
    } catch (error) {
      await this.#directory.remove(name).catch(() => undefined);
      throw error;
    }
    // States may have changed in the meantime, so they are taken from the old table only here.
    const table = new RecordTable();
    segment.marked.clear();
    segment.marks = 0;
    segment.obsoleteMarks = 0;
    let offset = header.length;
    for (const { kind, number, payload } of kept) {
      const index = indexOf(number);
      const state = segment.table.state(index) ?? RecordState.GONE;
      if (kind === FrameKind.RECORD) {
        table.add(index, offset, state);
        const markedIn = segment.table.markedIn(index);
        if (markedIn !== undefined) table.setMarkedIn(index, markedIn);
      } else {
        segment.marks++;
        if (sequenceOf(number) !== segment.sequence) segment.marked.add(sequenceOf(number));
      }
      offset += frameSize(payload.length);
    }
    segment.table = table;
    segment.bytes = bytes.length;
    this.#onReplaced(segment);
    this.#segments.dropped(segment);
    await this.#sync();
  }

  /**
   * Returns the frames that are still needed (with copies of their payloads), the number of frames
   * that are not needed, and whether all live records were there; undefined if the file was
   * removed.
   */
  async #collect(segment: Segment): Promise<Collected | undefined> {
    const kept = new Map<string, Frame>();
    let frames = 0;
    const file = await this.#tryOpen(segment);
    if (file === undefined) return undefined;
    try {
      const { damagedBytes } = await readSegment(file, (frame) => {
        frames++;
        // This saves memory: a frame that is not needed now is not needed later, either.
        if (!this.#isNeeded(frame, segment)) return;
        // Of several marks of a record, only the last one is kept, in its own place.
        const key = `${frame.kind} ${frame.number}`;
        kept.delete(key);
        kept.set(key, { ...frame, payload: Buffer.from(frame.payload) });
      });
      if (damagedBytes > 0) segment.isDamaged = true;
    } finally {
      await file.close();
    }
    // States may have changed during the reading. So what is kept is decided here, for all frames
    // at the same time: otherwise a record could be kept, and its mark dropped.
    const needed = [...kept.values()].filter((frame) => this.#isNeeded(frame, segment));
    const records = needed.filter(({ kind }) => kind === FrameKind.RECORD);
    return {
      kept: needed,
      dropped: frames - needed.length,
      isWhole: records.length >= segment.table.live,
    };
  }

  async #tryOpen({ name }: Segment): Promise<JournalFile | undefined> {
    try {
      return await this.#directory.open(name);
    } catch (error) {
      if (isErrno(error, "ENOENT")) return undefined;
      throw error;
    }
  }

  #isNeeded({ kind, number }: Frame, segment: Segment): boolean {
    const state = this.#segments.state(number);
    const isLive = state !== undefined && state !== RecordState.GONE;
    if (kind === FrameKind.RECORD) return isLive;
    const markedIn = this.#segments.markedIn(number);
    // A later mark of the same record is in another file.
    if (markedIn !== undefined && markedIn !== segment.sequence) return false;
    // A mark of a record in another file is needed as long as that file has the record.
    if (this.#segments.find(number) === segment) return isLive;
    return state !== undefined || this.#segments.isPartlyRead(sequenceOf(number));
  }
}
