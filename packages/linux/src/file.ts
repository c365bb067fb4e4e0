/**
 * What Node does with files, too: for those who do it for every request. Results are those
 * of the kernel, because an exception costs more than the call.
 * @see open(2), read(2), pread(2)
 */
import { openSync, readSync } from "node:fs";
import { check } from "./errors.ts";
import { Fd } from "./fd.ts";
import { cheapCall } from "./libc.ts";
import { beginCall, cString, type NativeMemory } from "./memory.ts";

const AT_FDCWD = -100;
const O_CLOEXEC = 0o2000000;

const cheap = {
  openat: cheapCall("openat"),
  pread64: cheapCall("pread64"),
  read: cheapCall("read"),
};

/** Opens a file that exists, close-on-exec. @param flags O_... @throws SyscallError, or Node's error */
export function openFile(path: string, flags: number): Fd {
  if (cheap.openat === undefined) return new Fd(openSync(path, flags));
  beginCall();
  const result = cheap.openat(AT_FDCWD, cString(path), flags | O_CLOEXEC, 0);
  return new Fd(check(result, "open", { path }));
}

/** Reads into `memory`. @returns the number of bytes, or a negated errno */
export function readInto(fd: number, memory: NativeMemory): number {
  if (cheap.read !== undefined) return cheap.read(fd, memory.address, memory.bytes.length);
  return withoutException(() => readSync(fd, memory.bytes));
}

/** Reads the start of a file into `memory`. @returns the number of bytes, or a negated errno */
export function readStartInto(fd: number, memory: NativeMemory): number {
  if (cheap.pread64 !== undefined) return cheap.pread64(fd, memory.address, memory.bytes.length, 0);
  return withoutException(() => readSync(fd, memory.bytes, 0, memory.bytes.length, 0));
}

/** The errno of an error of Node's, negated, in the place of the error. */
function withoutException(call: () => number): number {
  try {
    return call();
  } catch (error) {
    if (error instanceof Error && "errno" in error && typeof error.errno === "number")
      return error.errno;
    throw error;
  }
}
