/** The extended attributes of cgroups, as far as records keep them. */
import {
  type ByteString,
  bufferOf,
  bytesOf,
  isErrno,
  latin1Of,
  listXattrs,
  tryGetXattr,
} from "@cm4all/linux";
import type { XattrTable } from "./snapshot.ts";

/** The longest value that is kept. A longer one is left out, as if the attribute did not exist. */
const MAX_VALUE_BYTES = 4096;

/** The greatest total size of all names and values in a record. */
const MAX_RECORD_BYTES = 256 * 1024;

/** S_IROTH: anybody may read the directory. */
const READABLE_BY_OTHERS = 0o4;

/**
 * Returns the attributes of an open directory that scripts may see: `user.*`, and `security.*` if
 * everybody may read the directory. The kernel shows `trusted.*` only to administrators, so these
 * are left out.
 * @param mode the mode of the directory, from fstat(2)
 * @see xattr(7)
 */
export function readXattrs(directoryFd: number, mode: number): XattrTable {
  const isReadable = (mode & READABLE_BY_OTHERS) !== 0;
  const table: [ByteString, ByteString][] = [];
  for (const name of tryList(directoryFd)) {
    const shown = latin1Of(name);
    if (!shown.startsWith("user.") && !(isReadable && shown.startsWith("security."))) continue;
    const value = tryGetXattr(directoryFd, bufferOf(name), MAX_VALUE_BYTES);
    if (value !== undefined) table.push([name, bytesOf(value)]);
  }
  return table;
}

function tryList(directoryFd: number): ByteString[] {
  try {
    return listXattrs(directoryFd);
  } catch (error) {
    // There are more names than listxattr(2) can return.
    if (isErrno(error, "E2BIG")) return [];
    throw error;
  }
}

/**
 * Returns the tables for a record, without attributes that would exceed MAX_RECORD_BYTES, and
 * without empty tables at the end. The attributes of higher cgroups take precedence: otherwise a
 * customer who may set attributes of two cgroups (the kernel stores up to 128 KiB for each) could
 * displace those of the cgroups above, and with them the account to which the usage belongs. Pure.
 * @param tables the tables of a cgroup, of its parent, and so on
 */
export function limitXattrs(tables: readonly XattrTable[]): XattrTable[] {
  let leftBytes = MAX_RECORD_BYTES;
  const fits = ([name, value]: XattrTable[number]) => {
    const bytes = latin1Of(name).length + latin1Of(value).length;
    if (bytes > leftBytes) return false;
    leftBytes -= bytes;
    return true;
  };
  const fromTop = [...tables].reverse();
  const limited = fromTop
    .map((table) => (table.length === 0 ? table : table.filter(fits)))
    .reverse();
  while (limited.at(-1)?.length === 0) limited.pop();
  return limited;
}
