/**
 * Calls relative to an open directory, for code that makes them for thousands of entries. Through
 * the addon they cost a fraction of what Node's functions cost: those walk a path from the root,
 * and throw where these calls return a value. Without the addon, Node's functions are used.
 * @see openat(2), statx(2), unlinkat(2)
 */
import { constants, fstatSync, lstatSync, openSync, type Stats } from "node:fs";
import { type ByteString, bytesOfLatin1, latin1Of, nodePathOf } from "./byte-string.ts";
import { ENODEV, ENOENT, EOPNOTSUPP } from "./errno.ts";
import { check } from "./errors.ts";
import { Fd } from "./fd.ts";
import { readInto } from "./file.ts";
import { cheapCall, intFunction } from "./libc.ts";
import { allocateNative, beginCall, cBytes, cString, type NativeMemory } from "./memory.ts";
import { withoutException } from "./node-call.ts";

const AT_REMOVEDIR = 0x200;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_EMPTY_PATH = 0x1000;
const O_CLOEXEC = 0o2000000;
const OPEN_DIRECTORY = constants.O_DIRECTORY | constants.O_NOFOLLOW;

const libc = { unlinkat: intFunction("unlinkat", 3) };
const cheap = { openat: cheapCall("openat", 4), statx: cheapCall("statx", 5) };

/** A path that is used again and again, and is converted for system calls only once. */
export class KeptPath {
  readonly path: ByteString;
  readonly #memory: NativeMemory;

  /** @param path relative to a directory */
  constructor(path: string) {
    this.path = bytesOfLatin1(path);
    this.#memory = allocateNative(path.length + 1);
    this.#memory.bytes.write(path, "latin1");
  }

  /** Returns the address of the path, which ends with a NUL; valid as long as the object exists. */
  get address(): number {
    return this.#memory.address;
  }
}

/** A path relative to an open directory, without a leading slash. */
export type RelativePath = ByteString | KeptPath;

function addressOf(path: RelativePath): number {
  return path instanceof KeptPath ? path.address : cBytes(path);
}

/** Returns a path by which Node finds the same file. */
function nodePathAt(directoryFd: number, path: RelativePath): string | Buffer {
  const bytes = path instanceof KeptPath ? path.path : path;
  return nodePathOf(bytesOfLatin1(`/proc/self/fd/${directoryFd}/${latin1Of(bytes)}`));
}

/** Opens a file. Returns a descriptor, or a negated errno. */
function rawOpen(directoryFd: number, path: RelativePath, flags: number): number {
  if (cheap.openat === undefined)
    return withoutException(() => openSync(nodePathAt(directoryFd, path), flags | O_CLOEXEC));
  beginCall();
  return cheap.openat(directoryFd, addressOf(path), flags | O_CLOEXEC);
}

function checkAt(result: number, call: string, directoryFd: number, path: RelativePath): number {
  if (result >= 0) return result;
  const shown = latin1Of(path instanceof KeptPath ? path.path : path);
  return check(result, call, { directoryFd, path: shown });
}

/**
 * Opens a directory, which must not be a symbolic link. The caller owns the descriptor.
 * @param flags further flags, such as O_PATH
 * @throws SyscallError
 */
export function openDirectoryAt(directoryFd: number, path: RelativePath, flags = 0): Fd {
  const result = rawOpen(directoryFd, path, OPEN_DIRECTORY | flags);
  return new Fd(checkAt(result, "open", directoryFd, path));
}

/** The size of the buffer for a file that is read in one go. */
const TEXT_BYTES = 64 * 1024;
let text: NativeMemory | undefined;

/**
 * Returns the text of a file that the kernel generates when it is first read: at most 64 KiB, with
 * one character for each byte. Returns undefined if there is no such file, if it is removed before
 * it is read (ENODEV), or if the kernel was started without the feature to which the file belongs
 * (EOPNOTSUPP).
 * @throws SyscallError
 */
export function tryReadTextAt(directoryFd: number, path: RelativePath): string | undefined {
  const opened = rawOpen(directoryFd, path, constants.O_RDONLY);
  if (isNoText(opened)) return undefined;
  const file = new Fd(checkAt(opened, "open", directoryFd, path));
  text ??= allocateNative(TEXT_BYTES);
  let length: number;
  try {
    length = readInto(file.number, text);
  } finally {
    file.close();
  }
  if (isNoText(length)) return undefined;
  return text.bytes.toString("latin1", 0, checkAt(length, "read", directoryFd, path));
}

function isNoText(result: number): boolean {
  return result === -ENOENT || result === -ENODEV || result === -EOPNOTSUPP;
}

/** The status of a file or directory. The inode is exact up to 2^53. */
export interface FileStatus {
  readonly inode: number;
  /** The device number, which is the same for all files of a file system. */
  readonly device: number;
  readonly links: number;
  /** The type and permissions, as in `st_mode`. */
  readonly mode: number;
  /** The time of creation in milliseconds since 1970; undefined if the file system has none. */
  readonly birthMs: number | undefined;
}

/** Returns the status of an open file. @throws SyscallError, or an error of Node */
export function statusOf(fd: number): FileStatus {
  if (cheap.statx === undefined) return fromNode(fstatSync(fd));
  beginCall();
  status ??= allocateNative(STATX_BYTES);
  check(cheap.statx(fd, cString(""), AT_EMPTY_PATH, WANTED, status.address), "statx", { fd });
  return fromStatx(status.bytes);
}

/**
 * Returns the status of a file, or of a symbolic link itself; undefined if it does not exist.
 * @throws SyscallError, or an error of Node
 */
export function tryStatusAt(directoryFd: number, path: RelativePath): FileStatus | undefined {
  if (cheap.statx === undefined) {
    const stat = lstatSync(nodePathAt(directoryFd, path), { throwIfNoEntry: false });
    return stat === undefined ? undefined : fromNode(stat);
  }
  beginCall();
  status ??= allocateNative(STATX_BYTES);
  const address = addressOf(path);
  const result = cheap.statx(directoryFd, address, AT_SYMLINK_NOFOLLOW, WANTED, status.address);
  if (result === -ENOENT) return undefined;
  checkAt(result, "statx", directoryFd, path);
  return fromStatx(status.bytes);
}

/** The size of `struct statx`. */
const STATX_BYTES = 256;
let status: NativeMemory | undefined;

/** STATX_TYPE, STATX_MODE, STATX_NLINK, STATX_INO, STATX_BTIME. */
const WANTED = 0x907;

function fromStatx(bytes: Buffer): FileStatus {
  const birthSeconds = bytes.readUInt32LE(80) + bytes.readUInt32LE(84) * 2 ** 32;
  return {
    inode: bytes.readUInt32LE(32) + bytes.readUInt32LE(36) * 2 ** 32,
    device: bytes.readUInt32LE(136) * 2 ** 32 + bytes.readUInt32LE(140),
    links: bytes.readUInt32LE(16),
    mode: bytes.readUInt16LE(28),
    birthMs: birthSeconds > 0 ? birthSeconds * 1000 + bytes.readUInt32LE(88) / 1e6 : undefined,
  };
}

function fromNode({ ino, dev, nlink, mode, birthtimeMs }: Stats): FileStatus {
  const birthMs = birthtimeMs > 0 ? birthtimeMs : undefined;
  return { inode: ino, device: dev, links: nlink, mode, birthMs };
}

/** Removes an empty directory. @throws SyscallError */
export function removeDirectoryAt(directoryFd: number, path: RelativePath): void {
  beginCall();
  checkAt(libc.unlinkat(directoryFd, addressOf(path), AT_REMOVEDIR), "unlinkat", directoryFd, path);
}
