/** Reads one file of a cgroup. */
import { closeSync, openSync, readSync } from "node:fs";

const O_CLOEXEC = 0o2000000;

/** Enough for `io.stat` on a host with hundreds of disks; the other files are short. */
const buffer = Buffer.alloc(64 * 1024);

/**
 * Returns the text of a file.
 * @param path of any bytes
 * @throws Error of Node's: ENOENT; ENODEV if the cgroup was removed after the file was opened
 */
export function readCgroupFile(path: string | Buffer): string {
  const fd = openSync(path, O_CLOEXEC);
  try {
    // The kernel makes the whole text at the first read.
    return buffer.toString("latin1", 0, readSync(fd, buffer));
  } finally {
    closeSync(fd);
  }
}
