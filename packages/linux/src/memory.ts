/**
 * Allocates memory for the arguments of a call.
 *
 * If a Buffer were made for each call, the garbage collector could free it after its address was
 * taken, but before the call. So strings and structures are written into one arena, which lives as
 * long as its thread. Calls are synchronous and never nest, so each starts at the beginning of the
 * arena.
 */
import { type ByteString, bufferOf, latin1Of } from "./byte-string.ts";
import { addressOf } from "./libc.ts";

const ARENA_BYTES = 256 * 1024;

/** Memory with a fixed address: its bytes, and the address to pass to a C function. */
export interface NativeMemory {
  readonly bytes: Buffer;
  readonly address: number;
}

/**
 * Allocates zeroed memory that the caller keeps. The address is valid as long as the object
 * exists.
 */
export function allocateNative(lengthBytes: number): NativeMemory {
  const bytes = Buffer.alloc(lengthBytes);
  return { bytes, address: addressOf(bytes) };
}

let arena: NativeMemory | undefined;
let used = 0;
/** Memory that did not fit into the arena, such as the arguments of a long command line. */
let overflow: NativeMemory[] = [];

/** Starts a new call: everything that was allocated for the previous call becomes invalid. */
export function beginCall(): void {
  used = 0;
  overflow = [];
}

/** Allocates zeroed memory for the current call, aligned to 16 bytes. */
export function allocate(lengthBytes: number): NativeMemory {
  arena ??= allocateNative(ARENA_BYTES);
  const start = used;
  if (start + lengthBytes > ARENA_BYTES) {
    const memory = allocateNative(lengthBytes);
    overflow.push(memory);
    return memory;
  }
  used = (start + lengthBytes + 15) & ~15;
  const bytes = arena.bytes.subarray(start, start + lengthBytes);
  bytes.fill(0);
  return { bytes, address: arena.address + start };
}

/**
 * Returns the address of a NUL-terminated copy of a string; 0 (NULL) for undefined.
 * @throws TypeError if the string contains a NUL, at which C would cut it off
 */
export function cString(text: string | Buffer | undefined): number {
  if (text === undefined) return 0;
  if (text.includes("\0")) throw new TypeError("a string for a system call contains a NUL byte");
  if (typeof text === "string") {
    return writeString(text);
  }
  const memory = allocate(text.length + 1);
  text.copy(memory.bytes);
  return memory.address;
}

/** Writes a string into the arena. No object is made unless the arena is full. */
function writeString(text: string): number {
  arena ??= allocateNative(ARENA_BYTES);
  const start = used;
  // UTF-8 has at most three bytes for each UTF-16 code unit.
  if (start + 3 * text.length + 1 > ARENA_BYTES) {
    const memory = allocate(Buffer.byteLength(text) + 1);
    memory.bytes.write(text);
    return memory.address;
  }
  const end = start + arena.bytes.write(text, start);
  arena.bytes[end] = 0;
  used = (end + 1 + 15) & ~15;
  return arena.address + start;
}

/**
 * Returns the address of a NUL-terminated copy of bytes.
 * @throws TypeError if they contain a NUL
 */
export function cBytes(bytes: ByteString): number {
  const characters = latin1Of(bytes);
  arena ??= allocateNative(ARENA_BYTES);
  const start = used;
  if (characters.includes("\0") || start + characters.length + 1 > ARENA_BYTES)
    return cString(bufferOf(bytes));
  const end = start + arena.bytes.write(characters, start, "latin1");
  arena.bytes[end] = 0;
  used = (end + 1 + 15) & ~15;
  return arena.address + start;
}

/** Returns the address of a copy of `source`; 0 (NULL) for undefined. */
export function copyIn(source: Uint8Array | undefined): number {
  if (source === undefined) return 0;
  const memory = allocate(source.length);
  memory.bytes.set(source);
  return memory.address;
}

/**
 * Returns the address of a NULL-terminated array of strings, as for `argv` and `envp`. Pointers
 * are written as 64-bit little-endian numbers, as on x86-64 and arm64; no other architecture is
 * supported.
 */
export function cStringArray(strings: readonly (string | Buffer)[]): number {
  const pointers = allocate((strings.length + 1) * 8);
  for (const [i, text] of strings.entries()) {
    const address = cString(text);
    pointers.bytes.writeUInt32LE(address % 2 ** 32, i * 8);
    pointers.bytes.writeUInt32LE(Math.floor(address / 2 ** 32), i * 8 + 4);
  }
  return pointers.address;
}
