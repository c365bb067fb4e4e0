/**
 * Who may ask for namespaces: abstract sockets have no file mode, so the daemon itself
 * has to look at its peers. @see unix(7), capabilities(7), credentials(7)
 */
import { readFileSync, readlinkSync } from "node:fs";
import { uptime } from "node:os";
import {
  type Credentials,
  Fd,
  getIntOption,
  isErrno,
  ProcStatField,
  parseNamespaceLink,
  parseProcStat,
  peerGroups,
  pidfdSendSignal,
  SO_PEERPIDFD,
  TICK_MS,
  tryPidfdOpen,
} from "@cm4all/linux";
import { monotonicMs } from "../../thread/event-loop.ts";
import type { AllowedPeers } from "../policy.ts";

const CAP_SYS_ADMIN = 21n;

/**
 * How often a peer's rights are looked at. The kernel takes its uids and its capabilities
 * one after the other, so uids from before the execution of a set-uid program can come
 * with the capabilities from after it; every some hundredth try of who aims for that. The
 * next look sees the other uids, unless the program has given up both again by then.
 */
const LOOKS = 4;

/** What `/proc/PID/status` says of a process's rights. */
export interface ProcessRights {
  /** Real, effective, saved, file system. */
  readonly uids: readonly number[];
  readonly effectiveCapabilities: bigint;
}

/** @throws Error for a text without these lines. Pure. */
export function parseRights(status: string): ProcessRights {
  const uids = /^Uid:\t([\d\t]+)$/m.exec(status)?.[1];
  const capabilities = /^CapEff:\t([0-9a-f]+)$/m.exec(status)?.[1];
  if (uids === undefined || capabilities === undefined) throw new Error("no Uid or CapEff line");
  return {
    uids: uids.split("\t").map(Number),
    effectiveCapabilities: BigInt(`0x${capabilities}`),
  };
}

/**
 * Whether these rights are those of a process that runs as `uid` alone and has
 * CAP_SYS_ADMIN. One that has executed a set-uid program since it connected has
 * capabilities that its user never had. Pure.
 */
export function hasCapability(
  { uids, effectiveCapabilities }: ProcessRights,
  uid: number,
): boolean {
  const [real, effective, saved] = uids;
  if (real !== uid || effective !== uid || saved !== uid) return false;
  return (effectiveCapabilities & (1n << CAP_SYS_ADMIN)) !== 0n;
}

/** Who connected. */
export interface Peer {
  readonly credentials: Credentials;
  /** The connection. */
  readonly socketFd: number;
  /** When it was accepted, milliseconds of the monotonic clock. */
  readonly acceptedMs: number;
}

/** Whether a peer is root, or the configuration allows it. */
export function isTrusted({ credentials, socketFd }: Peer, allowed: AllowedPeers): boolean {
  const { uid, gid } = credentials;
  if (uid === 0 || allowed.uids.has(uid) || allowed.gids.has(gid)) return true;
  return allowed.gids.size > 0 && readGroups(socketFd).some((group) => allowed.gids.has(group));
}

function readGroups(socketFd: number): number[] {
  try {
    return peerGroups(socketFd);
  } catch (error) {
    // More groups than anybody has who is not up to something.
    if (isErrno(error, "ERANGE")) return [];
    throw error;
  }
}

/**
 * Whether a peer holds CAP_SYS_ADMIN in the daemon's own user namespace. Its effective
 * set alone proves nothing: anybody has a full one inside `unshare -U`.
 * @param ownUserNamespace the inode of the daemon's user namespace
 * @throws SyscallError where the daemon lacks something for finding out (EMFILE)
 */
export function isCapable(peer: Peer, ownUserNamespace: number): boolean {
  const { pid, uid } = peer.credentials;
  // A process of another PID namespace.
  if (pid === 0) return false;
  using pidfd = tryOpenPeer(peer);
  if (pidfd === undefined) return false;
  try {
    const directory = `/proc/${pid}`;
    const isPrivileged = () =>
      hasCapability(parseRights(readFileSync(`${directory}/status`, "latin1")), uid);
    for (let i = 0; i < LOOKS; i++) if (!isPrivileged()) return false;
    // Last, because there is no way back out of a user namespace: whoever is in ours now
    // had these capabilities in ours.
    const userNamespace = parseNamespaceLink(readlinkSync(`${directory}/ns/user`));
    if (userNamespace !== ownUserNamespace) return false;
  } catch (error) {
    if (isErrno(error, "ENOENT", "ESRCH", "EACCES", "EPERM")) return false;
    throw error;
  }
  // It is still there, so its pid was its own all the time.
  return pidfdSendSignal(pidfd.number, 0);
}

/** A descriptor of the process that connected; undefined where it is gone. */
function tryOpenPeer(peer: Peer): Fd | undefined {
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
