/**
 * Rules for who may ask for namespaces. An abstract socket has no file mode, so the daemon itself
 * has to check its peers. This file has the rules that need no look at the process;
 * capable-peers.ts has the rest.
 * @see unix(7), capabilities(7), credentials(7)
 */
import { CAP_SYS_ADMIN, type Credentials, isErrno, peerGroups } from "@cm4all/linux";
import type { AllowedPeers } from "../settings.ts";

/** The rights of a process, from `/proc/PID/status`. */
export interface ProcessRights {
  /** The real, effective, saved and file system uid. */
  readonly uids: readonly number[];
  readonly effectiveCapabilities: bigint;
}

/** Parses the text of `/proc/PID/status`. @throws Error if a line is missing. Pure. */
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
 * Returns whether these are the rights of a process that runs as `uid` alone and has
 * CAP_SYS_ADMIN. The capability alone is not enough: a process that has executed a set-uid program
 * since it connected may have capabilities that its user never had. Pure.
 */
export function hasCapability(
  { uids, effectiveCapabilities }: ProcessRights,
  uid: number,
): boolean {
  const [real, effective, saved] = uids;
  if (real !== uid || effective !== uid || saved !== uid) return false;
  return (effectiveCapabilities & (1n << BigInt(CAP_SYS_ADMIN))) !== 0n;
}

/** A peer, and the connection that it has made. */
export interface Peer {
  readonly credentials: Credentials;
  /** The descriptor of the connection. */
  readonly socketFd: number;
  /** The descriptor of the listening socket from which it was accepted. */
  readonly listenerFd: number;
  /** The time at which it was accepted, in milliseconds of the monotonic clock. */
  readonly acceptedMs: number;
}

/** Returns whether a peer is root or is allowed by the configuration. */
export function isTrusted({ credentials, socketFd }: Peer, allowed: AllowedPeers): boolean {
  const { uid, gid } = credentials;
  if (uid === 0 || allowed.uids.has(uid) || allowed.gids.has(gid)) return true;
  return allowed.gids.size > 0 && readGroups(socketFd).some((group) => allowed.gids.has(group));
}

function readGroups(socketFd: number): number[] {
  try {
    return peerGroups(socketFd);
  } catch (error) {
    // The peer has so many groups that it can only be an attacker.
    if (isErrno(error, "ERANGE")) return [];
    throw error;
  }
}
