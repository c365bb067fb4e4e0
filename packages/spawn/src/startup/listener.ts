/** Opens the clients' socket, if the service manager has not passed one. */
import { lstatSync } from "node:fs";
import { CommandFailure, EX_CANTCREAT, EX_UNAVAILABLE } from "@cm4all/command";
import {
  AF_UNIX,
  bindUnix,
  errorText,
  type Fd,
  isErrno,
  listen,
  SO_PASSCRED,
  SOCK_NONBLOCK,
  SOCK_SEQPACKET,
  SOL_SOCKET,
  setIntOption,
  socket,
} from "@cm4all/linux";
import { tryRemoveStaleSocket } from "../sockets/stale-socket.ts";

/** The maximum number of connections that wait to be accepted; net.core.somaxconn may lower it. */
const LISTEN_BACKLOG = 4096;

/** Listens on `@NAME` or a path; the caller owns the socket. @throws CommandFailure */
export function openListener(address: string): Fd {
  const fd = socket(AF_UNIX, SOCK_SEQPACKET, 0, SOCK_NONBLOCK);
  try {
    setIntOption(fd.number, SOL_SOCKET, SO_PASSCRED, 1);
    bindOrReplace(fd, address);
    listen(fd.number, LISTEN_BACKLOG);
    return fd;
  } catch (error) {
    fd.close();
    if (error instanceof CommandFailure) throw error;
    const reason = errorText(error);
    throw new CommandFailure(`cannot listen on ${address}: ${reason}`, EX_CANTCREAT, {
      cause: error,
    });
  }
}

/**
 * Binds the socket, and replaces a stale socket at the same path.
 * @throws CommandFailure if the address is in use, or if there is a file of another type
 * @throws SyscallError for other reasons
 */
function bindOrReplace(fd: Fd, address: string): void {
  try {
    bindUnix(fd.number, address);
  } catch (error) {
    if (!isErrno(error, "EADDRINUSE")) throw error;
    const isPath = address.startsWith("/");
    if (isPath && lstatSync(address, { throwIfNoEntry: false })?.isSocket() === false)
      throw new CommandFailure(`${address} exists and is not a socket`, EX_CANTCREAT);
    if (!isPath || !tryRemoveStaleSocket(address, SOCK_SEQPACKET))
      throw new CommandFailure(`${address} is in use: is another daemon running?`, EX_UNAVAILABLE);
    bindUnix(fd.number, address);
  }
}
