/** Reading a segment: a file of frames, the first of which is its header. */

import type { JournalFile } from "./directory.ts";
import { NoRecord } from "./errors.ts";
import {
  encodeFrames,
  type Frame,
  FrameKind,
  frameSize,
  nextFrameOffset,
  payloadSize,
  tryReadFrame,
} from "./frame.ts";
import { PatientReader } from "./patient-reader.ts";
import { type RecordState, tryRecordState } from "./record-table.ts";

/** The version of the format that this program writes, and the newest that it reads. */
export const FORMAT_VERSION = 1;

/** Returns the frame with which the segment of that sequence number begins. */
export function headerFrame(sequence: number): Frame {
  const payload = Buffer.from(JSON.stringify({ version: FORMAT_VERSION, sequence }));
  return { kind: FrameKind.HEADER, number: 0, payload };
}

export function encodeHeader(sequence: number): Buffer {
  return encodeFrames([headerFrame(sequence)]);
}

/** Returns the frame that gives a record a state. @param note UTF-8, why */
export function markFrame(number: number, state: RecordState, note = ""): Frame {
  const payload = Buffer.concat([Buffer.from([state]), Buffer.from(note)]);
  return { kind: FrameKind.MARK, number, payload };
}

/** Returns what a MARK says; undefined if it has a state of a newer version. */
export function tryDecodeMark(payload: Buffer): { state: RecordState; note: string } | undefined {
  const state = tryRecordState(payload[0]);
  return state === undefined ? undefined : { state, note: payload.toString("utf8", 1) };
}

/** What a segment turned out to be. */
export interface Findings {
  /** Bytes that are part of no whole frame, though whole frames follow. */
  damagedBytes: number;
  /** Bytes at the end that are no whole frame: a write that was cut off, or damage. */
  tornBytes: number;
  /** Where the last whole frame ends. */
  end: number;
}

/** A segment that a newer version has written, or no segment at all: it is left alone. */
export class UnknownSegment extends Error {
  override readonly name = "UnknownSegment";
}

const CHUNK_SIZE = 256 * 1024;

/**
 * Calls `visit` for each whole frame of a segment after its header.
 * @param visit gets each frame, valid during the call, and its offset
 * @throws UnknownSegment; system errors of reading
 */
export async function readSegment(
  file: JournalFile,
  visit: (frame: Frame, offset: number) => void,
): Promise<Findings> {
  const findings: Findings = { damagedBytes: 0, tornBytes: 0, end: 0 };
  const source = new PatientReader(file);
  // One buffer for all: those of a gigabyte would lie around until the next collection.
  let buffer = Buffer.allocUnsafeSlow(CHUNK_SIZE);
  let window = buffer.subarray(0, 0);
  /** Where `window` begins in the file. */
  let base = 0;
  let isAtEnd = false;
  let hasHeader = false;
  let suspectBytes = 0;
  for (;;) {
    let offset = 0;
    for (;;) {
      const frame = tryReadFrame(window, offset);
      if (frame === "incomplete" && !isAtEnd) break;
      if (frame === undefined || frame === "incomplete") {
        const next = nextFrameOffset(window, offset);
        if (next === undefined && !isAtEnd) {
          // Nothing in this window: look for a frame in the next one, aligned as this.
          const skipped = window.length - offset - ((window.length - offset) % 8);
          suspectBytes += skipped;
          offset += skipped;
          break;
        }
        suspectBytes += (next ?? window.length) - offset;
        offset = next ?? window.length;
        if (next === undefined) break;
        continue;
      }
      findings.damagedBytes += suspectBytes;
      suspectBytes = 0;
      if (frame.kind === FrameKind.HEADER) {
        checkHeader(frame.payload);
        hasHeader = true;
      } else visit(frame, base + offset);
      offset += frameSize(frame.payload.length);
      findings.end = base + Math.min(offset, window.length);
    }
    if (isAtEnd) break;
    base += offset;
    // The zeros behind the last frame may be missing.
    const rest = Math.max(0, window.length - offset);
    if (rest === buffer.length) buffer = Buffer.concat([buffer], 2 * rest);
    else if (rest > 0) buffer.copyWithin(0, offset, window.length);
    const length = await source.read(buffer.subarray(rest), base + rest);
    if (length === 0) isAtEnd = true;
    window = buffer.subarray(0, rest + length);
  }
  findings.tornBytes = suspectBytes;
  if (!hasHeader && findings.end > 0) findings.damagedBytes += 1;
  // Also if it was the end of the file that could not be read.
  findings.damagedBytes = Math.max(findings.damagedBytes, source.unreadableBytes);
  return findings;
}

/** @throws UnknownSegment */
function checkHeader(payload: Buffer): void {
  let version: unknown;
  try {
    version = JSON.parse(payload.toString()).version;
  } catch (error) {
    throw new UnknownSegment("its header is no JSON", { cause: error });
  }
  if (typeof version !== "number" || version > FORMAT_VERSION)
    throw new UnknownSegment(`it has the format ${version}; this program knows ${FORMAT_VERSION}`);
}

/** Marks have the numbers of their records. */
export function isRecord(frame: Frame, number: number): boolean {
  return frame.kind === FrameKind.RECORD && frame.number === number;
}

/**
 * Returns the record at `offset`.
 * @throws NoRecord if it is no whole frame of that number; system errors of reading
 */
export async function readRecord(
  file: JournalFile,
  offset: number,
  number: number,
): Promise<Buffer> {
  const source = new PatientReader(file);
  let bytes = Buffer.allocUnsafe(4096);
  for (;;) {
    const length = await source.read(bytes, offset);
    const frame = tryReadFrame(bytes.subarray(0, length), 0);
    if (frame === "incomplete" && length === bytes.length) {
      bytes = Buffer.allocUnsafe(frameSize(payloadSize(bytes)));
      continue;
    }
    if (frame === undefined || frame === "incomplete" || !isRecord(frame, number))
      throw source.error ?? new NoRecord(`record ${number} is damaged on the disk`);
    return frame.payload;
  }
}
