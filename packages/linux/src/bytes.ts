/**
 * Reads and writes integers in the machine's byte order, as in structures of the kernel, and checks
 * the bounds. Pure.
 */
import { endianness } from "node:os";

const LITTLE = endianness() === "LE";

/** Returns `length` rounded up to a multiple of `alignment`, which is a power of two. */
export function align(length: number, alignment: number): number {
  return (length + alignment - 1) & ~(alignment - 1);
}

/** Reads `bytes` from start to end; each read advances the position. */
export class ByteReader {
  readonly #bytes: Buffer;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get offset(): number {
    return this.#offset;
  }

  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  /**
   * Advances, and returns the previous position.
   * @throws RangeError if fewer than `length` bytes are left
   */
  #advance(length: number): number {
    const offset = this.#offset;
    if (length < 0 || length > this.remaining)
      throw new RangeError(`${length} bytes wanted at offset ${offset}, ${this.remaining} left`);
    this.#offset = offset + length;
    return offset;
  }

  /** Reads an unsigned 8-bit integer. @throws RangeError if too few bytes are left */
  u8(): number {
    return this.#bytes.readUInt8(this.#advance(1));
  }

  /**
   * Reads an unsigned 16-bit integer in the machine's byte order.
   * @throws RangeError if too few bytes are left
   */
  u16(): number {
    const offset = this.#advance(2);
    return LITTLE ? this.#bytes.readUInt16LE(offset) : this.#bytes.readUInt16BE(offset);
  }

  /**
   * Reads an unsigned 32-bit integer in the machine's byte order.
   * @throws RangeError if too few bytes are left
   */
  u32(): number {
    const offset = this.#advance(4);
    return LITTLE ? this.#bytes.readUInt32LE(offset) : this.#bytes.readUInt32BE(offset);
  }

  /**
   * Reads a signed 32-bit integer in the machine's byte order.
   * @throws RangeError if too few bytes are left
   */
  i32(): number {
    return this.u32() | 0;
  }

  /**
   * Reads an unsigned 64-bit integer in the machine's byte order.
   * @throws RangeError if too few bytes are left
   */
  u64(): bigint {
    const offset = this.#advance(8);
    return LITTLE ? this.#bytes.readBigUInt64LE(offset) : this.#bytes.readBigUInt64BE(offset);
  }

  /**
   * Returns the next `length` bytes, without copying them.
   * @throws RangeError if too few bytes are left
   */
  bytes(length: number): Buffer {
    const offset = this.#advance(length);
    return this.#bytes.subarray(offset, offset + length);
  }

  /** Skips `length` bytes. @throws RangeError if too few bytes are left */
  skip(length: number): void {
    this.#advance(length);
  }

  /** Skips bytes up to a multiple of `alignment`, or to the end if that comes first. */
  alignTo(alignment: number): void {
    this.#offset = Math.min(align(this.#offset, alignment), this.#bytes.length);
  }
}

/** Writes into memory that grows as needed; each write advances the position. */
export class ByteWriter {
  #bytes: Buffer;
  #length = 0;

  constructor(capacity = 256) {
    this.#bytes = Buffer.alloc(capacity);
  }

  get length(): number {
    return this.#length;
  }

  #grow(length: number): number {
    const offset = this.#length;
    const needed = offset + length;
    if (needed > this.#bytes.length) {
      const larger = Buffer.alloc(Math.max(needed, this.#bytes.length * 2));
      this.#bytes.copy(larger, 0, 0, offset);
      this.#bytes = larger;
    }
    this.#length = needed;
    return offset;
  }

  /** Appends an unsigned 8-bit integer. */
  u8(value: number): this {
    const offset = this.#grow(1);
    this.#bytes.writeUInt8(value, offset);
    return this;
  }

  /** Appends an unsigned 16-bit integer in the machine's byte order. */
  u16(value: number): this {
    this.setU16(this.#grow(2), value);
    return this;
  }

  /** Appends an unsigned 32-bit integer in the machine's byte order. */
  u32(value: number): this {
    this.setU32(this.#grow(4), value);
    return this;
  }

  /** Appends a signed 32-bit integer in the machine's byte order. */
  i32(value: number): this {
    return this.u32(value >>> 0);
  }

  /** Appends an unsigned 64-bit integer in the machine's byte order. */
  u64(value: bigint): this {
    const offset = this.#grow(8);
    if (LITTLE) this.#bytes.writeBigUInt64LE(value, offset);
    else this.#bytes.writeBigUInt64BE(value, offset);
    return this;
  }

  /** Appends a copy of the bytes. */
  bytes(source: Uint8Array): this {
    const offset = this.#grow(source.length);
    this.#bytes.set(source, offset);
    return this;
  }

  /** Appends `count` zero bytes. */
  zeros(count: number): this {
    // Memory that has not been written yet is zero.
    this.#grow(count);
    return this;
  }

  /** Appends zero bytes until the length is a multiple of `alignment`. */
  alignTo(alignment: number): this {
    return this.zeros(align(this.#length, alignment) - this.#length);
  }

  /**
   * Overwrites two bytes at `offset` that were written before, for a length that is known only
   * later.
   */
  setU16(offset: number, value: number): void {
    if (offset + 2 > this.#length)
      throw new RangeError(`offset ${offset} has not been written yet`);
    if (LITTLE) this.#bytes.writeUInt16LE(value, offset);
    else this.#bytes.writeUInt16BE(value, offset);
  }

  /**
   * Overwrites four bytes at `offset` that were written before, for a length that is known only
   * later.
   */
  setU32(offset: number, value: number): void {
    if (offset + 4 > this.#length)
      throw new RangeError(`offset ${offset} has not been written yet`);
    if (LITTLE) this.#bytes.writeUInt32LE(value, offset);
    else this.#bytes.writeUInt32BE(value, offset);
  }

  /** Returns the written bytes, without copying them; valid until the next write. */
  finish(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }
}
