/** Datagrams and their packets, in both directions. The layout is in commands.ts. */
import { endianness } from "node:os";
import { DATAGRAM_HEADER_SIZE, MAGIC, MAX_DATAGRAM_SIZE, PACKET_HEADER_SIZE } from "./commands.ts";
import { crc32 } from "./crc32.ts";
import { ProtocolError } from "./errors.ts";

/** True on a little-endian machine; an argument for DataView. */
export const LITTLE_ENDIAN = endianness() === "LE";

/** The largest value of the field `size` of a packet, a u16. */
const MAX_PAYLOAD_SIZE = 0xffff;

/** Returns `size` plus the size of the padding after it. */
function padded(size: number): number {
  return (size + 3) & ~3;
}

/**
 * Walks over the packets of one datagram: after each call of `next()` that returns true,
 * `command`, `offset`, `start` and `end` describe a packet. It is a cursor, not a list, because
 * the service reads tens of thousands of datagrams per second.
 */
export class PacketReader {
  readonly #view: DataView;
  readonly #length: number;
  #next = DATAGRAM_HEADER_SIZE;

  /** The packet's command, which may be unknown. */
  command = 0;
  /** The offset of the packet's header. */
  offset = 0;
  /** The offset of the packet's payload. */
  start = 0;
  /** The offset of the end of the packet's payload, without the padding. */
  end = 0;

  /**
   * @param bytes the buffer with the datagram at its start; not copied
   * @param length the length of the datagram, in bytes; for a datagram that did not fit into
   *   `bytes`, any length over MAX_DATAGRAM_SIZE
   * @throws ProtocolError of kind `too-large`, `short`, `bad-magic` or `bad-crc`
   */
  constructor(bytes: Uint8Array, length: number = bytes.length) {
    if (length > MAX_DATAGRAM_SIZE)
      throw new ProtocolError(
        "too-large",
        MAX_DATAGRAM_SIZE,
        `datagram is larger than ${MAX_DATAGRAM_SIZE} bytes`,
      );
    if (length > bytes.length)
      throw new RangeError(`datagram of ${length} bytes in a buffer of ${bytes.length}`);
    if (length < DATAGRAM_HEADER_SIZE)
      throw new ProtocolError(
        "short",
        length,
        `datagram of ${length} bytes is too short: the header alone has ${DATAGRAM_HEADER_SIZE}`,
      );
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, length);
    this.#length = length;
    if (this.#view.getUint32(0, LITTLE_ENDIAN) !== MAGIC)
      throw new ProtocolError("bad-magic", 0, "wrong magic number: not this protocol");
    if (this.#view.getUint32(4, LITTLE_ENDIAN) !== crc32(bytes.subarray(8, length)))
      throw new ProtocolError("bad-crc", 4, "wrong checksum");
  }

  /**
   * Advances to the next packet.
   * @returns false at the end of the datagram
   * @throws ProtocolError of kind `truncated`
   */
  next(): boolean {
    const offset = this.#next;
    if (offset === this.#length) return false;
    const start = offset + PACKET_HEADER_SIZE;
    if (start > this.#length)
      throw new ProtocolError("truncated", offset, `packet header at byte ${offset} is truncated`);
    const size = this.#view.getUint16(offset, LITTLE_ENDIAN);
    const next = start + padded(size);
    if (next > this.#length)
      throw new ProtocolError(
        "truncated",
        offset,
        `packet at byte ${offset} is truncated: ${size} bytes of payload announced`,
      );
    this.command = this.#view.getUint16(offset + 2, LITTLE_ENDIAN);
    this.offset = offset;
    this.start = start;
    this.end = start + size;
    this.#next = next;
    return true;
  }
}

/** A packet to be sent. */
export interface Packet {
  readonly command: number;
  /** Empty by default. */
  readonly payload?: Uint8Array | undefined;
}

/**
 * Encodes a datagram of `packets`.
 * @throws RangeError if a payload is longer than 65,535 bytes, which no packet can hold
 */
export function encodeDatagram(packets: readonly Packet[]): Uint8Array {
  let length = DATAGRAM_HEADER_SIZE;
  for (const { payload } of packets) length += PACKET_HEADER_SIZE + padded(payload?.length ?? 0);

  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  let offset = DATAGRAM_HEADER_SIZE;
  for (const { command, payload } of packets) {
    const size = payload?.length ?? 0;
    if (size > MAX_PAYLOAD_SIZE)
      throw new RangeError(`payload of ${size} bytes: a packet holds at most ${MAX_PAYLOAD_SIZE}`);
    view.setUint16(offset, size, LITTLE_ENDIAN);
    view.setUint16(offset + 2, command, LITTLE_ENDIAN);
    offset += PACKET_HEADER_SIZE;
    if (payload !== undefined) bytes.set(payload, offset);
    offset += padded(size);
  }
  view.setUint32(0, MAGIC, LITTLE_ENDIAN);
  view.setUint32(4, crc32(bytes.subarray(DATAGRAM_HEADER_SIZE)), LITTLE_ENDIAN);
  return bytes;
}
