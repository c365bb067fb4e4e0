/** Looks whether a child process can be started with a socket to it. */
import { closeSync, openSync } from "node:fs";

/** The two ends of the socket, and the pipe by which libuv knows whether exec has failed. */
const NEEDED = 4;

/**
 * Returns if there are descriptors left for a child process: libuv keeps our end of the socket
 * for ever where there are some, but too few (seen with Node 20).
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
