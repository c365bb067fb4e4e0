/**
 * The environment of this process as C has it: bytes, which Node takes for UTF-8. What is
 * changed in the main thread's `process.env` is changed here. @see environ(7)
 */
import { type ByteString, bytesOf, textOf } from "./byte-string.ts";
import { check } from "./errors.ts";
import { functionAddress, intFunction, longFunction } from "./libc.ts";
import { allocate, beginCall, cBytes } from "./memory.ts";

const POINTER_BYTES = 8;

const libc = {
  getenv: longFunction("getenv", 1),
  memcpy: longFunction("memcpy", 3),
  setenv: intFunction("setenv", 3),
  strlen: longFunction("strlen", 1),
};

/** Returns the value of a variable. @throws TypeError if there is a NUL in the name */
export function environmentVariable(name: ByteString): ByteString | undefined {
  beginCall();
  const value = libc.getenv(cBytes(name));
  return value === 0 ? undefined : bytesOf(copyOut(value, libc.strlen(value)));
}

/** Sets a variable. @throws SyscallError EINVAL if the name is empty or has a `=` in it */
export function setEnvironmentVariable(name: ByteString, value: ByteString): void {
  beginCall();
  check(libc.setenv(cBytes(name), cBytes(value), 1), "setenv", { name: textOf(name) });
}

/** Returns the address of the array of its entries, valid until it is changed. */
export function environmentAddress(): number {
  beginCall();
  // A variable of libc's.
  return Number(copyOut(functionAddress("environ"), POINTER_BYTES).readBigUInt64LE());
}

/** A copy in the arena of bytes that are C's. */
function copyOut(address: number, length: number): Buffer {
  const memory = allocate(length);
  libc.memcpy(memory.address, address, length);
  return memory.bytes;
}
