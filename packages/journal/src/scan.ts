/** Divides a file into frames and what is none. */
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
  /** Gets a whole frame, valid during the call. */
  frame(frame: StoredFrame, offset: number): void;
  /**
   * Gets bytes that are part of no whole frame, valid during the call.
   * @param isCutOff whether they are the beginning of a frame whose end the file does not have
   */
  junk(bytes: Buffer, offset: number, isCutOff: boolean): void;
}

/** Reads a file to its end. Returns its size. @throws system errors of reading */
export async function scan(source: PatientReader, visitor: Visitor): Promise<number> {
  // One buffer for all: those of a gigabyte would lie around until the next collection.
  let buffer = Buffer.allocUnsafeSlow(CHUNK_SIZE);
  /** The bytes before `base` are done with. */
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

/** Returns how many bytes of the window are done with: all, if it reaches the end of the file. */
function visitAll(window: Buffer, base: number, isAtEnd: boolean, visitor: Visitor): number {
  let offset = 0;
  while (offset < window.length) {
    const frame = tryReadFrame(window, offset);
    if (frame === "incomplete" && !isAtEnd) return offset;
    if (frame !== undefined && frame !== "incomplete") {
      visitor.frame(frame, base + offset);
      // The zeros behind the last frame may be missing, or not be read yet.
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

/** There is no frame in this window: it is looked for in the next one, aligned as this. */
function endOfJunk(length: number, offset: number, isAtEnd: boolean): number {
  return isAtEnd ? length : length - ((length - offset) % 8);
}
