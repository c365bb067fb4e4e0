/** Checks that there are descriptors for a child process and a socket to it. */
import { closeSync, openSync } from "node:fs";

/** Two ends of the socket, and two of the pipe through which libuv learns that exec has failed. */
const NEEDED = 4;

/**
 * Checks that there are enough descriptors for a child process. If there are some, but too few,
 * libuv never closes our end of the socket (seen with Node 20).
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
