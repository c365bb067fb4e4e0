/** Calls relative to an open directory. @see unlinkat(2) */
import { check } from "./errors.ts";
import { intFunction } from "./libc.ts";
import { beginCall, cString } from "./memory.ts";

const AT_REMOVEDIR = 0x200;

const libc = { unlinkat: intFunction("unlinkat", 3) };

/** Removes the empty directory `name` from the open directory `directoryFd`. */
export function removeDirectoryAt(directoryFd: number, name: string | Buffer): void {
  beginCall();
  const result = libc.unlinkat(directoryFd, cString(name), AT_REMOVEDIR);
  check(result, "unlinkat", { directoryFd, name: name.toString() });
}
