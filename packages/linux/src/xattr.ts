/** Extended attributes. @see xattr(7), fgetxattr(2) */
import { ENODATA, EOPNOTSUPP, ERANGE } from "./errno.ts";
import { check } from "./errors.ts";
import { longFunction } from "./libc.ts";
import { allocate, beginCall, cString } from "./memory.ts";

const libc = { fgetxattr: longFunction("fgetxattr", 4), fsetxattr: longFunction("fsetxattr", 5) };

/**
 * An attribute's value; undefined where it does not exist, is longer than `maxBytes`,
 * or the file system has none.
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

export function setXattr(fd: number, name: string | Buffer, value: Buffer): void {
  beginCall();
  const memory = allocate(value.length);
  value.copy(memory.bytes);
  const result = libc.fsetxattr(fd, cString(name), memory.address, value.length, 0);
  check(result, "fsetxattr", { fd, name: name.toString() });
}
