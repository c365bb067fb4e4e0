/** Reads a segment, which is a file of frames, and makes its header and its marks. */

import type { JournalFile } from "./directory.ts";
import { NoRecord } from "./errors.ts";
import {
  encodeFrames,
  type Frame,
  FrameKind,
  frameSize,
  payloadSize,
  tryReadFrame,
} from "./frame.ts";
import { Gap } from "./gap.ts";
import { PatientReader } from "./patient-reader.ts";
import { RecordState, tryRecordState } from "./record-table.ts";
import { scan } from "./scan.ts";

/** The version of the format that this program writes, and the newest version that it reads. */
export const FORMAT_VERSION = 1;

/** Returns the frame with which the segment with this sequence number begins. */
export function headerFrame(sequence: number): Frame {
  const payload = Buffer.from(JSON.stringify({ version: FORMAT_VERSION, sequence }));
  return { kind: FrameKind.HEADER, number: 0, payload };
}

/** Returns the bytes with which the file of the segment with this sequence number begins. */
export function encodeHeader(sequence: number): Buffer {
  return encodeFrames([headerFrame(sequence)]);
}

/**
 * Returns the frame that gives a record a state.
 * @param note the reason, for people; zero bytes in it are replaced, because an untrusted process
 *   may have chosen it, and it must not look like frames. For the same reason, WAITING, which is a
 *   zero byte, takes no note.
 */
export function markFrame(number: number, state: RecordState, note = ""): Frame {
  const text = state === RecordState.WAITING ? "" : note.replaceAll("\0", "\uFFFD");
  const payload = Buffer.concat([Buffer.from([state]), Buffer.from(text)]);
  return { kind: FrameKind.MARK, number, payload };
}

/** Decodes the payload of a MARK; returns undefined if only a newer version knows its state. */
export function tryDecodeMark(payload: Buffer): { state: RecordState; note: string } | undefined {
  const state = tryRecordState(payload[0]);
  return state === undefined ? undefined : { state, note: payload.toString("utf8", 1) };
}

/** The result of reading a segment. */
export interface Findings {
  /** The number of bytes that are part of no whole frame, and may have been confirmed. */
  readonly damagedBytes: number;
  /** The number of bytes at the end that do not count: zeros, or a write that was not confirmed. */
  readonly tornBytes: number;
  /** The end of the last whole frame that counts. */
  readonly end: number;
}

/** Thrown if a file is not a segment, or is one of a newer version: the file is left alone. */
export class UnknownSegment extends Error {
  override readonly name = "UnknownSegment";
}

/**
 * Reads a segment, and calls `visit` for each frame that counts, except for the header.
 * @param visit called with a frame, which is valid during the call, and its offset
 * @throws UnknownSegment; system errors of reading
 */
export async function readSegment(
  file: JournalFile,
  visit: (frame: Frame, offset: number) => void,
): Promise<Findings> {
  const source = new PatientReader(file);
  let hasHeader = false;
  let end = 0;
  let damagedBytes = 0;
  let gap: Gap | undefined;
  const count = (frame: Frame, offset: number) => {
    if (frame.kind === FrameKind.HEADER) {
      checkHeader(frame.payload);
      hasHeader = true;
    } else visit(frame, offset);
    end = offset + frameSize(frame.payload.length);
  };
  const endGap = ({ bytes, held }: Gap) => {
    damagedBytes += bytes;
    for (const { frame, offset } of held) count(frame, offset);
    gap = undefined;
  };
  const size = await scan(source, {
    frame: (frame, offset) => {
      if (gap?.tryHold(frame, offset) === true) return;
      if (gap !== undefined) endGap(gap);
      count(frame, offset);
    },
    junk: (bytes, offset, isCutOff) => {
      gap ??= new Gap(offset);
      gap.add(bytes, offset, isCutOff);
    },
  });
  // Zeros in place of unreadable blocks do not prove that a write was cut off.
  if (gap !== undefined && (source.unreadableBytes > 0 || !gap.isTorn())) endGap(gap);
  if (!hasHeader && end > 0) damagedBytes += 1;
  // This also counts an unreadable end of the file.
  damagedBytes = Math.max(damagedBytes, source.unreadableBytes);
  return { damagedBytes, tornBytes: Math.max(0, size - end), end };
}

/** Checks the version in a header. @throws UnknownSegment */
function checkHeader(payload: Buffer): void {
  let version: unknown;
  try {
    version = JSON.parse(payload.toString()).version;
  } catch (error) {
    throw new UnknownSegment("its header is not JSON", { cause: error });
  }
  if (typeof version !== "number" || version > FORMAT_VERSION)
    throw new UnknownSegment(
      `it has format ${version}, but this program knows only format ${FORMAT_VERSION}`,
    );
}

/** Returns true if a frame is the record `number`, and not a mark of that record. */
export function isRecord(frame: Frame, number: number): boolean {
  return frame.kind === FrameKind.RECORD && frame.number === number;
}

/**
 * Returns the record at `offset`.
 * @throws NoRecord if no whole frame of that record is there; system errors of reading
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
