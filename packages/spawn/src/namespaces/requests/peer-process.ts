/** The process that has connected. @see pidfd_open(2), unix(7) */
import { readFileSync } from "node:fs";
import { uptime } from "node:os";
import {
  Fd,
  getIntOption,
  isErrno,
  ProcStatField,
  parseProcStat,
  SO_PEERPIDFD,
  TICK_MS,
  tryPidfdOpen,
} from "@cm4all/linux";
import { monotonicMs } from "../../thread/event-loop.ts";
import type { Peer } from "./permission.ts";

/** A descriptor of the process that connected; undefined where it is gone. */
export function tryOpenPeer(peer: Peer): Fd | undefined {
  try {
    return new Fd(getIntOption(peer.socketFd, SO_PEERPIDFD));
  } catch (error) {
    // The process is gone: what the kernel says of it differs from version to version.
    if (isErrno(error, "ESRCH", "EINVAL", "ENODATA")) return undefined;
    if (!isErrno(error, "ENOPROTOOPT")) throw error;
  }
  return tryOpenByPid(peer.credentials.pid, peer.acceptedMs);
}

/**
 * For Linux before 6.5: by the pid, which may belong to another process by now. One that
 * started after the connection was accepted is another one.
 */
export function tryOpenByPid(pid: number, acceptedMs: number): Fd | undefined {
  const pidfd = tryPidfdOpen(pid);
  if (pidfd === undefined) return undefined;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const startMs = parseProcStat(stat, ProcStatField.STARTTIME) * TICK_MS;
    const acceptedUptimeMs = uptime() * 1000 - (monotonicMs() - acceptedMs);
    // Both are rounded down to ticks.
    if (startMs <= acceptedUptimeMs + TICK_MS) return pidfd;
  } catch (error) {
    if (!isErrno(error, "ENOENT", "ESRCH")) throw error;
  }
  pidfd.close();
  return undefined;
}
