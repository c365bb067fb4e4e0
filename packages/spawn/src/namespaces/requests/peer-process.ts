/** Opens a pidfd of the process that has connected. @see pidfd_open(2), unix(7) */
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

/**
 * Opens a pidfd of the process that connected; undefined if the process is gone. The caller owns
 * the pidfd.
 */
export function tryOpenPeer(peer: Peer): Fd | undefined {
  try {
    return new Fd(getIntOption(peer.socketFd, SO_PEERPIDFD));
  } catch (error) {
    // The process is gone: the errno differs between kernel versions.
    if (isErrno(error, "ESRCH", "EINVAL", "ENODATA")) return undefined;
    if (!isErrno(error, "ENOPROTOOPT")) throw error;
  }
  return tryOpenByPid(peer.credentials.pid, peer.acceptedMs);
}

/**
 * Opens a pidfd by pid, for Linux before 6.5. The pid may belong to another process by now: a
 * process that started after the connection was accepted is not the peer.
 */
export function tryOpenByPid(pid: number, acceptedMs: number): Fd | undefined {
  const pidfd = tryPidfdOpen(pid);
  if (pidfd === undefined) return undefined;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const startMs = parseProcStat(stat, ProcStatField.STARTTIME) * TICK_MS;
    const acceptedUptimeMs = uptime() * 1000 - (monotonicMs() - acceptedMs);
    // Both times are rounded down to ticks.
    if (startMs <= acceptedUptimeMs + TICK_MS) return pidfd;
  } catch (error) {
    if (!isErrno(error, "ENOENT", "ESRCH")) throw error;
  }
  pidfd.close();
  return undefined;
}
