/** Divides a file into frames and bytes that are part of no frame. */
import {
  frameSize,
  isWholeButForSize,
  nextFrameOffset,
  type StoredFrame,
  tryReadFrame,
} from "./frame.ts";
import type { PatientReader } from "./patient-reader.ts";

const CHUNK_SIZE = 256 * 1024;

export interface Visitor {
  /** Called with a whole frame, which is valid during the call. */
  frame(frame: StoredFrame, offset: number): void;
  /**
   * Called with bytes that are part of no whole frame; they are valid during the call.
   * @param isCutOff true if they are the beginning of a frame whose end is not in the file
   */
  junk(bytes: Buffer, offset: number, isCutOff: boolean): void;
}

/**
 * Reads a file to its end. Returns its size, including zeros that are missing from the last frame.
 * @throws system errors of reading
 */
export async function scan(source: PatientReader, visitor: Visitor): Promise<number> {
  // The buffer is reused: while a gigabyte is read, new buffers would occupy memory until the
  // garbage collector frees them.
  let buffer = Buffer.allocUnsafeSlow(CHUNK_SIZE);
  /** The offset, in the file, of the first byte in the buffer. */
  let base = 0;
  let rest = 0;
  for (;;) {
    if (rest === buffer.length) buffer = Buffer.concat([buffer], 2 * rest);
    const length = await source.read(buffer.subarray(rest), base + rest);
    const window = buffer.subarray(0, rest + length);
    const done = visitAll(window, base, length === 0, visitor);
    base += done;
    if (length === 0) return base;
    rest = Math.max(0, window.length - done);
    buffer.copyWithin(0, done, window.length);
  }
}

/**
 * Visits the frames and the junk in the window. Returns the number of visited bytes, including zeros
 * that are missing from the last frame. If the window reaches the end of the file, all are visited.
 */
function visitAll(window: Buffer, base: number, isAtEnd: boolean, visitor: Visitor): number {
  let offset = 0;
  while (offset < window.length) {
    const frame = tryReadFrame(window, offset);
    if (frame === "incomplete" && !isAtEnd) return offset;
    if (frame !== undefined && frame !== "incomplete") {
      visitor.frame(frame, base + offset);
      // The zeros with which the frame ends may be missing, or not read yet.
      offset += frameSize(frame.payload.length);
      continue;
    }
    const next = nextFrameOffset(window, offset) ?? endOfJunk(window.length, offset, isAtEnd);
    const isCutOff = frame === "incomplete" && !isWholeButForSize(window, offset);
    visitor.junk(window.subarray(offset, next), base + offset, isCutOff);
    offset = next;
  }
  return offset;
}

/**
 * Returns the end of the junk if no further frame begins in this window. The next frame is then
 * looked for in the next window, with the same alignment.
 */
function endOfJunk(length: number, offset: number, isAtEnd: boolean): number {
  return isAtEnd ? length : length - ((length - offset) % 8);
}
