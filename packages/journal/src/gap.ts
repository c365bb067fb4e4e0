/**
 * Bytes in a segment that are part of no whole frame: either the rest of a batch that a power
 * failure has cut off before it was confirmed, or damage.
 *
 * The cause was a power failure if both of these conditions hold:
 * - Nothing shows that the batch was on the disk: all frames after the gap, if there are any,
 *   belong to a batch that begins at the gap or before it. A later batch would have been written
 *   after a sync.
 * - The write is visibly incomplete: the file ends within a frame, or a sector of the gap is
 *   still zero (a write extends the file, or overwrites the zeros of a reserve: see reserve.ts).
 *   JSON contains no zero bytes, so a flipped bit or a sector of another file does not look like
 *   that, unless the flipped bit is in the size of the last frame before a reserve's zeros. If no
 *   frame follows, and the header of the frame that begins the gap is there, the zero sector has to
 *   lie within that frame, because a reserve has zeros after its last frame anyway.
 *
 * After a power failure, the rest of the batch after the gap is dropped, as if the write had been
 * cut off at the gap. A confirmed batch in which the disk zeroed sectors before anything else was
 * written cannot be distinguished from a batch that was cut off: the bytes are the same.
 */
import { type Frame, payloadEnd, type StoredFrame } from "./frame.ts";

/** The smallest unit that a disk writes as a whole. */
const SECTOR_SIZE = 512;
const ZEROS = Buffer.alloc(SECTOR_SIZE);

export class Gap {
  readonly #start: number;
  /** The number of bytes that are part of no frame. */
  bytes = 0;
  /** The offset, in the segment, after the last of these bytes. */
  #end: number;
  /** The number of the gap's bytes in the current sector, and whether all of them are zero. */
  #partBytes = 0;
  #isZero = true;
  #hasLostSector = false;
  /**
   * The end of the frame that begins the gap, if it is known, and whether that frame has lost a
   * sector.
   */
  #frameEnd = Number.POSITIVE_INFINITY;
  #hasFrameLostSector = false;
  /** True if the file ends within a frame, and no other frame follows. */
  #isCutOff = false;
  /** Whole frames after the gap that belong to the batch that contains the gap. */
  readonly held: { readonly frame: Frame; readonly offset: number }[] = [];

  /** Begins a gap. @param start its offset in the segment */
  constructor(start: number) {
    this.#start = start;
    this.#end = start;
  }

  /** Adds the next bytes that are part of no whole frame. See Visitor.junk in scan.ts. */
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
   * Holds back a whole frame that follows the gap, until it is known whether the gap is damage.
   * @returns false, without effect, if the frame shows that the gap is damage
   */
  tryHold({ batchDistance, ...frame }: StoredFrame, offset: number): boolean {
    this.#endPart();
    this.#isCutOff = false;
    if (!this.#hasLostSector || offset - batchDistance > this.#start) return false;
    this.held.push({ frame: { ...frame, payload: Buffer.from(frame.payload) }, offset });
    return true;
  }

  /**
   * Returns true if a power failure has cut off the write. To be called at the end of the
   * segment.
   */
  isTorn(): boolean {
    this.#endPart();
    return this.#isCutOff || this.#hasFrameLostSector || this.held.length > 0;
  }
}
