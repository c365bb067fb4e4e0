/**
 * The environment of this process as C sees it, in bytes; Node reads it as UTF-8. In the main
 * thread, a change to `process.env` also changes this environment.
 * @see environ(7)
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

/**
 * Returns the value of a variable; undefined if it is not set.
 * @throws TypeError if the name contains a NUL
 */
export function environmentVariable(name: ByteString): ByteString | undefined {
  beginCall();
  const value = libc.getenv(cBytes(name));
  return value === 0 ? undefined : bytesOf(copyOut(value, libc.strlen(value)));
}

/** Sets a variable. @throws SyscallError EINVAL if the name is empty or contains a `=` */
export function setEnvironmentVariable(name: ByteString, value: ByteString): void {
  beginCall();
  check(libc.setenv(cBytes(name), cBytes(value), 1), "setenv", { name: textOf(name) });
}

/** Returns the address of the array of entries, valid until the environment changes. */
export function environmentAddress(): number {
  beginCall();
  // `environ` is a variable of libc.
  return Number(copyOut(functionAddress("environ"), POINTER_BYTES).readBigUInt64LE());
}

/** Copies memory that C owns into the arena of memory.ts. */
function copyOut(address: number, length: number): Buffer {
  const memory = allocate(length);
  libc.memcpy(memory.address, address, length);
  return memory.bytes;
}
