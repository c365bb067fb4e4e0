/**
 * The frames that a journal's segments consist of. Pure.
 *
 *     offset  type  meaning
 *     0       4     MAGIC
 *     4       u32   CRC-32, as in zlib, of all bytes from offset 8 to the payload's end
 *     8       u64   the number of the record that the frame is about; 0 in a HEADER
 *     16      u8    kind
 *     17      u24   distance from the beginning of the frame's batch, in units of 8 bytes
 *     20      u32   size of the payload in bytes
 *     24            the payload, then zeros up to a multiple of 8
 *
 * A batch is a set of frames that are written and synced together: if one of its frames is in
 * the file, everything before the batch was on the disk. In rewritten segments, and in frames that
 * older versions wrote, the distance is 0; a gap before such a frame counts as damage.
 *
 * Integers are little-endian: a disk may be read on another machine. Each frame begins at a
 * multiple of 8. MAGIC begins with a zero byte, which neither JSON text nor a note (see markFrame)
 * contains. The state before a note is zero only if it is WAITING, and the daemon gives such a mark
 * no note. So no payload looks like a frame: after a damaged frame, a reader may look for the next
 * MAGIC without being misled by text that an untrusted process chose.
 */
import { crc32 } from "node:zlib";

const MAGIC = 0x014a_4300;

export const FRAME_HEADER_SIZE = 24;
const ALIGNMENT = 8;

/** The largest payload, in bytes: larger sizes count as damage. */
export const MAX_PAYLOAD_SIZE = 16 * 1024 * 1024;

export const FrameKind = {
  /** The first frame of a segment. Payload: JSON, see segment.ts. */
  HEADER: 1,
  /** A record. Payload: the record. */
  RECORD: 2,
  /** A record's new state. Payload: the state in one byte, then a note in UTF-8. */
  MARK: 3,
} as const;
export type FrameKind = (typeof FrameKind)[keyof typeof FrameKind];

export interface Frame {
  readonly kind: FrameKind;
  readonly number: number;
  readonly payload: Buffer;
}

/** A frame as it was read. */
export interface StoredFrame extends Frame {
  /** The distance from the beginning of its batch, in bytes. */
  readonly batchDistance: number;
}

/** Returns the bytes that a frame with a payload of `size` bytes takes in a segment. */
export function frameSize(size: number): number {
  return Math.ceil((FRAME_HEADER_SIZE + size) / ALIGNMENT) * ALIGNMENT;
}

/** Writes a frame at `offset`, where the bytes must be zero, and returns the offset of its end. */
function writeFrame(target: Buffer, offset: number, frame: Frame, batchDistance: number): number {
  const { kind, number, payload } = frame;
  target.writeUInt32LE(MAGIC, offset);
  target.writeBigUInt64LE(BigInt(number), offset + 8);
  target.writeUInt8(kind, offset + 16);
  target.writeUIntLE(batchDistance / ALIGNMENT, offset + 17, 3);
  target.writeUInt32LE(payload.length, offset + 20);
  payload.copy(target, offset + FRAME_HEADER_SIZE);
  const end = offset + FRAME_HEADER_SIZE + payload.length;
  target.writeUInt32LE(crc32(target.subarray(offset + 8, end)), offset + 4);
  return offset + frameSize(payload.length);
}

/** Encodes frames that are written and synced together, after frames that are on the disk. */
export function encodeBatch(frames: readonly Frame[]): Buffer {
  return encode(frames, (offset) => offset);
}

/** Encodes frames of a file that is not used before all of them are on the disk. */
export function encodeFrames(frames: readonly Frame[]): Buffer {
  return encode(frames, () => 0);
}

function encode(frames: readonly Frame[], batchDistance: (offset: number) => number): Buffer {
  const size = frames.reduce((sum, { payload }) => sum + frameSize(payload.length), 0);
  const bytes = Buffer.alloc(size);
  let offset = 0;
  for (const frame of frames) offset = writeFrame(bytes, offset, frame, batchDistance(offset));
  return bytes;
}

/**
 * Returns the frame at `offset`, whose payload is a view of `bytes`; `incomplete` if
 * `bytes` ends before the frame does; undefined if no valid frame begins there.
 */
export function tryReadFrame(
  bytes: Buffer,
  offset: number,
): StoredFrame | "incomplete" | undefined {
  if (bytes.length - offset < FRAME_HEADER_SIZE) return "incomplete";
  if (bytes.readUInt32LE(offset) !== MAGIC) return undefined;
  const size = bytes.readUInt32LE(offset + 20);
  if (size > MAX_PAYLOAD_SIZE) return undefined;
  const end = offset + FRAME_HEADER_SIZE + size;
  if (end > bytes.length) return "incomplete";
  if (crc32(bytes.subarray(offset + 8, end)) !== bytes.readUInt32LE(offset + 4)) return undefined;
  const kind = frameKind(bytes.readUInt8(offset + 16));
  if (kind === undefined) return undefined;
  const number = Number(bytes.readBigUInt64LE(offset + 8));
  const batchDistance = bytes.readUIntLE(offset + 17, 3) * ALIGNMENT;
  return { kind, number, payload: bytes.subarray(offset + FRAME_HEADER_SIZE, end), batchDistance };
}

/**
 * Returns true if the frame at `offset` is whole and ends where `bytes` ends, and only the size in
 * its header is wrong: such a frame is damaged, not cut off.
 */
export function isWholeButForSize(bytes: Buffer, offset: number): boolean {
  const frame = Buffer.from(bytes.subarray(offset));
  const longest = frame.length - FRAME_HEADER_SIZE;
  for (let size = longest; size >= 0 && frameSize(size) === frame.length; size--) {
    frame.writeUInt32LE(size, 20);
    const end = FRAME_HEADER_SIZE + size;
    if (crc32(frame.subarray(8, end)) === frame.readUInt32LE(4)) return true;
  }
  return false;
}

/**
 * Returns the size in the header of the frame with which `bytes` begins. `bytes` must contain the
 * whole header.
 */
export function payloadSize(bytes: Buffer): number {
  return bytes.readUInt32LE(20);
}

/**
 * Returns the end of the payload according to the header with which `bytes` should begin;
 * undefined if the header is zeros or cut off, 0 if `bytes` begins with anything else.
 */
export function payloadEnd(bytes: Buffer): number | undefined {
  if (bytes.length < FRAME_HEADER_SIZE || bytes.readUInt32LE(0) === 0) return undefined;
  const size = payloadSize(bytes);
  const isHeader = bytes.readUInt32LE(0) === MAGIC && size <= MAX_PAYLOAD_SIZE;
  return isHeader ? FRAME_HEADER_SIZE + size : 0;
}

function frameKind(value: number): FrameKind | undefined {
  return Object.values(FrameKind).find((kind) => kind === value);
}

/** Returns the next offset after `offset` at which a frame may begin; undefined if none is left. */
export function nextFrameOffset(bytes: Buffer, offset: number): number | undefined {
  for (let next = offset + ALIGNMENT; next + 4 <= bytes.length; next += ALIGNMENT)
    if (bytes.readUInt32LE(next) === MAGIC) return next;
  return undefined;
}
