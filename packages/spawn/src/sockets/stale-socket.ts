/** Removes the Unix socket that an earlier run has left behind. */
import { lstatSync, unlinkSync } from "node:fs";
import { AF_UNIX, connectUnix, isErrno, SOCK_NONBLOCK, socket } from "@cm4all/linux";

/**
 * Removes a socket on which nobody listens any more. Returns false if there is no such socket.
 * @param type SOCK_STREAM or SOCK_SEQPACKET
 * @throws SyscallError; Error if the path is too long for a socket
 */
export function tryRemoveStaleSocket(path: string, type: number): boolean {
  // Connecting to a file of another type would be refused, too.
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return false;
  using probe = socket(AF_UNIX, type, 0, SOCK_NONBLOCK);
  try {
    connectUnix(probe.number, path);
    return false;
  } catch (error) {
    if (!isErrno(error, "ECONNREFUSED")) return false;
    unlinkSync(path);
    return true;
  }
}
