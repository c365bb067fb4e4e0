/** Checks that there are descriptors for a child process and a socket to it. */
import { closeSync, openSync } from "node:fs";

/** The two ends of the socket, and the pipe through which libuv learns that exec has failed. */
const NEEDED = 4;

/**
 * Returns if there are enough descriptors for a child process: if there are some, but too few,
 * libuv keeps our end of the socket for ever (seen with Node 20).
 * @throws system errors: EMFILE, ENFILE
 */
export function checkDescriptorRoom(): void {
  const fds: number[] = [];
  try {
    while (fds.length < NEEDED) fds.push(openSync("/dev/null", "r"));
  } finally {
    for (const fd of fds) closeSync(fd);
  }
}
