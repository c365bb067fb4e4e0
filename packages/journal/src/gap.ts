/**
 * Bytes in a segment that are no whole frame: what a power failure has left of the last batch,
 * which was never confirmed, or damage.
 *
 * It was the power if both are so:
 * - Nothing shows that the batch was on the disk. What comes after the gap, if anything does, is
 *   of the batch that begins at the gap or before it, because a later one is written after a sync.
 * - The write is seen to be incomplete: the file ends within a frame, or a sector of the gap is
 *   zero, as it was before (a file grows, or a reserve of zeros is overwritten). JSON has no
 *   zeros, so a flipped bit or a sector of something else does not look like it. If no frame follows,
 *   the sector has to be of the frame that begins the gap, as long as its header is there: behind
 *   the last one a reserve has zeros anyway.
 *
 * All of the batch behind the gap is dropped then: what is left is what a write that was cut off
 * would have left. A batch that was confirmed, and of which a disk has made sectors zero before
 * anything else was written, cannot be told from it, by anybody: the bytes are the same.
 */
import { type Frame, payloadEnd, type StoredFrame } from "./frame.ts";

/** The least that a disk writes as a whole. */
const SECTOR_SIZE = 512;
const ZEROS = Buffer.alloc(SECTOR_SIZE);

export class Gap {
  readonly #start: number;
  /** Bytes that are part of no frame. */
  bytes = 0;
  /** Where the last of them ends. */
  #end: number;
  /** How many of these are in the sector that is not complete, and whether all are zero. */
  #partBytes = 0;
  #isZero = true;
  #hasLostSector = false;
  /** Where the frame ends that begins the gap, if that is known, and whether it has lost a sector. */
  #frameEnd = Number.POSITIVE_INFINITY;
  #hasFrameLostSector = false;
  /** Whether the file ends within a frame, and no other follows. */
  #isCutOff = false;
  /** Whole frames behind it, of the batch in which it is. */
  readonly held: { readonly frame: Frame; readonly offset: number }[] = [];

  /** @param start its offset in the segment */
  constructor(start: number) {
    this.#start = start;
    this.#end = start;
  }

  /** Takes bytes that are part of no frame, and follow those before or a frame. See Visitor. */
  add(bytes: Buffer, offset: number, isCutOff: boolean): void {
    this.#isCutOff = isCutOff;
    if (this.bytes === 0) this.#frameEnd = offset + (payloadEnd(bytes) ?? Number.POSITIVE_INFINITY);
    if (offset !== this.#end) this.#endPart();
    this.#end = offset;
    for (let done = 0; done < bytes.length; ) {
      const part = bytes.subarray(done, done + SECTOR_SIZE - (this.#end % SECTOR_SIZE));
      if (!part.equals(ZEROS.subarray(0, part.length))) this.#isZero = false;
      this.#partBytes += part.length;
      done += part.length;
      this.#end += part.length;
      if (this.#end % SECTOR_SIZE === 0) this.#endPart();
    }
    this.bytes += bytes.length;
  }

  #endPart(): void {
    if (this.#partBytes > 0 && this.#isZero) {
      this.#hasLostSector = true;
      if (this.#end - this.#partBytes < this.#frameEnd) this.#hasFrameLostSector = true;
    }
    this.#partBytes = 0;
    this.#isZero = true;
  }

  /**
   * Takes a whole frame that follows, until it is known what the gap is.
   * @returns false, without effect, if the frame shows that the gap is damage
   */
  tryHold({ batchDistance, ...frame }: StoredFrame, offset: number): boolean {
    this.#endPart();
    this.#isCutOff = false;
    if (!this.#hasLostSector || offset - batchDistance > this.#start) return false;
    this.held.push({ frame: { ...frame, payload: Buffer.from(frame.payload) }, offset });
    return true;
  }

  /** Whether it is what a power failure has left of a write; known at the end of the segment. */
  isTorn(): boolean {
    this.#endPart();
    return this.#isCutOff || this.#hasFrameLostSector || this.held.length > 0;
  }
}
