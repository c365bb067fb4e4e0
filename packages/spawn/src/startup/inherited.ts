/** Takes over the descriptors that the service manager passes to the daemon. */
import { CommandFailure, EX_CONFIG } from "@cm4all/command";
import {
  Fd,
  getIntOption,
  isErrno,
  SO_ACCEPTCONN,
  SO_TYPE,
  SOCK_SEQPACKET,
  setCloseOnExec,
} from "@cm4all/linux";
import { LOG_WARNING, type Logger } from "../log/log.ts";
import { passedDescriptors } from "../systemd/listen-fds.ts";

/** The name under which the service manager keeps the descriptor of the namespaces' store. */
export const STORE_NAME = "namespaces";

export interface Inherited {
  readonly listeners: readonly Fd[];
  readonly storeFd: number | undefined;
}

/**
 * Takes over the descriptors, and removes the variables that describe them from the environment.
 * The caller owns the descriptors.
 * @throws CommandFailure if a listening socket of the wrong type was passed: its clients would not
 *   be served
 */
export function takePassedDescriptors(log: Logger): Inherited {
  const listeners: Fd[] = [];
  let storeFd: number | undefined;
  for (const { fd, name } of passedDescriptors(process.env, process.pid)) {
    setCloseOnExec(fd);
    if (name === STORE_NAME && storeFd === undefined) storeFd = fd;
    else if (isListener(fd)) listeners.push(new Fd(fd));
    else {
      log(
        LOG_WARNING,
        `the service manager passed a descriptor that the daemon does not use: ${name}`,
      );
      new Fd(fd).close();
    }
  }
  // The descriptors are only for the daemon, not for programs that it starts.
  for (const name of ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"]) delete process.env[name];
  return { listeners, storeFd };
}

function isListener(fd: number): boolean {
  try {
    if (getIntOption(fd, SO_ACCEPTCONN) !== 1) return false;
  } catch (error) {
    if (isErrno(error, "ENOTSOCK")) return false;
    throw error;
  }
  if (getIntOption(fd, SO_TYPE) === SOCK_SEQPACKET) return true;
  throw new CommandFailure(
    "the service manager passed a socket that is not ListenSequentialPacket=: its clients would wait for ever",
    EX_CONFIG,
  );
}
