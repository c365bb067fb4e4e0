/**
 * File operations that Node has, too: these are for code that performs them for each request. Some
 * return a negated errno, because an exception costs more than the call.
 * @see open(2), read(2), pread(2), fstat(2)
 */
import { constants, fstatSync, mkdirSync, openSync, readSync, statSync } from "node:fs";
import { check } from "./errors.ts";
import { Fd } from "./fd.ts";
import { cheapCall, longFunction } from "./libc.ts";
import { allocateNative, beginCall, cString, type NativeMemory } from "./memory.ts";
import { withoutException } from "./node-call.ts";

const AT_FDCWD = -100;
const O_CLOEXEC = 0o2000000;

export const O_NOFOLLOW = constants.O_NOFOLLOW;
export const O_PATH = 0o10000000;

const libc = { readlinkat: longFunction("readlinkat", 4) };

const cheap = {
  fstat: cheapCall("fstat", 2),
  mkdirat: cheapCall("mkdirat", 3),
  newfstatat: cheapCall("newfstatat", 4),
  openat: cheapCall("openat", 4),
  pread64: cheapCall("pread64", 4),
  read: cheapCall("read", 3),
};

/**
 * Opens a file, close-on-exec. The caller owns the descriptor.
 * @param flags O_...
 * @param mode the mode of a file that is created
 * @throws SyscallError, or an error of Node
 */
export function openFile(path: string, flags: number, mode = 0): Fd {
  if (cheap.openat === undefined) return new Fd(openSync(path, flags, mode));
  beginCall();
  const result = cheap.openat(AT_FDCWD, cString(path), flags | O_CLOEXEC, mode);
  return new Fd(check(result, "open", { path }));
}

/** Creates a directory. @throws SyscallError, or an error of Node @see mkdir(2) */
export function createDirectory(path: string, mode: number): void {
  if (cheap.mkdirat === undefined) mkdirSync(path, mode);
  else {
    beginCall();
    check(cheap.mkdirat(AT_FDCWD, cString(path), mode), "mkdir", { path });
  }
}

/**
 * Returns the device number of a file or directory.
 * @throws SyscallError, or an error of Node
 * @see stat(2)
 */
export function deviceOf(path: string): number {
  if (cheap.newfstatat === undefined) return statSync(path).dev;
  beginCall();
  status ??= allocateNative(STAT_BYTES);
  check(cheap.newfstatat(AT_FDCWD, cString(path), status.address, 0), "stat", { path });
  return status.bytes.readUInt32LE(0) + status.bytes.readUInt32LE(4) * 2 ** 32;
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

/** The size of `struct stat` on x86-64; arm64's is smaller. Both begin with u64 st_dev, st_ino. */
const STAT_BYTES = 144;
let status: NativeMemory | undefined;

/** Returns the inode of an open file. @throws SyscallError, or an error of Node @see fstat(2) */
export function inodeOf(fd: number): number {
  if (cheap.fstat === undefined) return fstatSync(fd).ino;
  status ??= allocateNative(STAT_BYTES);
  check(cheap.fstat(fd, status.address), "fstat", { fd });
  return status.bytes.readUInt32LE(8) + status.bytes.readUInt32LE(12) * 2 ** 32;
}

/**
 * Returns the present target of a symbolic link that is open (O_PATH|O_NOFOLLOW), at most 255
 * bytes of it.
 * @throws SyscallError
 * @see readlinkat(2)
 */
export function readOpenLink(fd: number): string {
  link ??= allocateNative(256);
  // The path argument is an empty string: the NUL after the last byte that can be written.
  const length = libc.readlinkat(fd, link.address + 255, link.address, 255);
  return link.bytes.toString("latin1", 0, check(length, "readlinkat", { fd }));
}

let link: NativeMemory | undefined;
