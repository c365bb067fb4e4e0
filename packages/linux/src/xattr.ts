/** Extended attributes. @see xattr(7), fgetxattr(2), flistxattr(2) */
import { type ByteString, bytesOf, bytesOfLatin1, latin1Of } from "./byte-string.ts";
import { ENODATA, EOPNOTSUPP, ERANGE } from "./errno.ts";
import { check } from "./errors.ts";
import { longFunction } from "./libc.ts";
import { allocate, beginCall, cString } from "./memory.ts";

const libc = {
  fgetxattr: longFunction("fgetxattr", 4),
  flistxattr: longFunction("flistxattr", 3),
  fsetxattr: longFunction("fsetxattr", 5),
};

/**
 * The sizes of the buffers to try. Nearly every list fits into the first; the kernel makes none
 * that is longer than the second.
 */
const LIST_BYTES = [4096, 65_536];

/**
 * Returns the value of an attribute; undefined if the attribute does not exist or is longer than
 * `maxBytes`, or if the file system does not support attributes.
 */
export function tryGetXattr(
  fd: number,
  name: string | Buffer,
  maxBytes = 4096,
): Buffer | undefined {
  beginCall();
  const value = allocate(maxBytes);
  const result = libc.fgetxattr(fd, cString(name), value.address, maxBytes);
  if (result === -ENODATA || result === -EOPNOTSUPP || result === -ERANGE) return undefined;
  return Buffer.from(
    value.bytes.subarray(0, check(result, "fgetxattr", { fd, name: name.toString() })),
  );
}

/**
 * Returns the names of all attributes, each with its namespace (`user.account`); none if the file
 * system does not support attributes.
 * @throws SyscallError E2BIG: there are more than the kernel can list
 */
export function listXattrs(fd: number): ByteString[] {
  for (const lengthBytes of LIST_BYTES) {
    beginCall();
    const list = allocate(lengthBytes);
    const result = libc.flistxattr(fd, list.address, lengthBytes);
    if (result === 0 || result === -EOPNOTSUPP) return [];
    if (result === -ERANGE) continue;
    const length = check(result, "flistxattr", { fd });
    // Each name ends with a NUL.
    const names = latin1Of(bytesOf(list.bytes.subarray(0, length - 1)));
    return names.split("\0").map(bytesOfLatin1);
  }
  // Not reached: with the larger buffer, the kernel returns E2BIG instead of ERANGE.
  return [];
}

/** Sets an extended attribute of an open file. @throws SyscallError @see fsetxattr(2) */
export function setXattr(fd: number, name: string | Buffer, value: Buffer): void {
  beginCall();
  const memory = allocate(value.length);
  value.copy(memory.bytes);
  const result = libc.fsetxattr(fd, cString(name), memory.address, value.length, 0);
  check(result, "fsetxattr", { fd, name: name.toString() });
}
