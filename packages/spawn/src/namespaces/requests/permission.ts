/**
 * Who may ask for namespaces: abstract sockets have no file mode, so the daemon itself
 * has to look at its peers. What is decided without a look at the process is here; the
 * look is in capable-peers.ts. @see unix(7), capabilities(7), credentials(7)
 */
import { CAP_SYS_ADMIN, type Credentials, isErrno, peerGroups } from "@cm4all/linux";
import type { AllowedPeers } from "../settings.ts";

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
  return (effectiveCapabilities & (1n << BigInt(CAP_SYS_ADMIN))) !== 0n;
}

/** Who connected. */
export interface Peer {
  readonly credentials: Credentials;
  /** The connection. */
  readonly socketFd: number;
  /** The socket that it was accepted from. */
  readonly listenerFd: number;
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
