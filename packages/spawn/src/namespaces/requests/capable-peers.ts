/**
 * Which peers hold CAP_SYS_ADMIN in the daemon's own user namespace.
 *
 * A spawner connects for each process that it starts, so its rights would be proven again
 * and again. A proof that said yes counts for the same process for a second: what is looked
 * at then is its capability and its user namespace as they are now, but no more its uids.
 *
 * That it is the same process is told by the inode of its pidfd, or by its pid and the queue:
 * a listening socket gives connections in the order in which they were made. One that came after
 * one of a process which is there to this day was made while that was there, and its pid nobody
 * else's. So the pidfd, three system calls, is not asked for.
 */
import { readlinkSync } from "node:fs";
import {
  allocateNative,
  CAP_SYS_ADMIN,
  Fd,
  hasEffectiveCapability,
  isErrno,
  type NativeMemory,
  O_NOFOLLOW,
  O_PATH,
  openFile,
  pidfdIdentity,
  pidfdSendSignal,
  readOpenLink,
  readStartInto,
  SyscallError,
} from "@cm4all/linux";
import { monotonicMs } from "../../thread/event-loop.ts";
import { tryOpenPeer } from "./peer-process.ts";
import { hasCapability, type Peer, parseRights } from "./permission.ts";

/**
 * How often a peer's rights are looked at. The kernel takes its uids and its capabilities
 * one after the other, so uids from before the execution of a set-uid program can come
 * with the capabilities from after it; every some hundredth try of who aims for that. The
 * next look sees the other uids, unless the program has given up both again by then.
 */
const LOOKS = 4;

/** How long a proof counts. */
const PROOF_MS = 1000;

/** Processes whose files are kept open; see the descriptor budget in docs/design.md. */
const MAX_KEPT = 64;

/** `/proc/PID/status` has some 1,500 bytes; more with many groups. */
const STATUS_BYTES = 64 * 1024;

/** What tells the rights of a process, now and later. */
class PeerProcess {
  readonly #pidfd: Fd;
  readonly #status: Fd;
  readonly #userNamespace: Fd;
  /** The uid that its connections were made with when it was proven. */
  provenUid: number | undefined;
  /** When those looks began, milliseconds of the monotonic clock. */
  provenMs = 0;
  /** Its connection that was looked at first. */
  readonly #first: Pick<Peer, "acceptedMs" | "listenerFd">;

  /**
   * @param pidfd owned from then on, unless it throws; it is kept, because the kernel makes
   *   another one of the same process faster then
   * @throws SyscallError, or Node's error, such as ENOENT
   */
  constructor(peer: Peer, pidfd: Fd) {
    const { pid } = peer.credentials;
    this.#first = peer;
    this.#status = openFile(`/proc/${pid}/status`, 0);
    try {
      this.#userNamespace = openFile(`/proc/${pid}/ns/user`, O_PATH | O_NOFOLLOW);
    } catch (error) {
      this.#status.close();
      throw error;
    }
    this.#pidfd = new Fd(pidfd.release());
  }

  /** Whether a peer with its pid is this process, if this one is there. */
  hasConnectedBefore({ acceptedMs, listenerFd }: Peer): boolean {
    return this.#first.listenerFd === listenerFd && this.#first.acceptedMs < acceptedMs;
  }

  /** Whether it was found capable a moment ago, when its connections were made with this uid. */
  isProven(uid: number): boolean {
    return this.provenUid === uid && monotonicMs() - this.provenMs < PROOF_MS;
  }

  /** Whether it runs as `uid` alone, and has the capability. */
  isPrivileged(uid: number, memory: NativeMemory): boolean {
    const length = readStartInto(this.#status.number, memory);
    if (length < 0) throw new SyscallError("read", -length, { file: "status" });
    // Cut: it has more groups, which come before its capabilities, than anybody has who is
    // not up to something.
    if (length === memory.bytes.length) return false;
    return hasCapability(parseRights(memory.bytes.toString("latin1", 0, length)), uid);
  }

  /**
   * Whether it is in this user namespace. Comes last: there is no way back out of a user
   * namespace, so whoever is in ours now had its capabilities in ours. And the file tells of
   * the process that it was opened for, until that is reaped: so its pid was its own.
   * @param userNamespace `user:[INODE]`
   * @throws SyscallError EACCES: it is gone
   */
  isStillIn(userNamespace: string): boolean {
    return readOpenLink(this.#userNamespace.number) === userNamespace;
  }

  /** Whether the files are of the process of the pidfd: its pid is still its own. */
  isThere(): boolean {
    return pidfdSendSignal(this.#pidfd.number, 0);
  }

  close(): void {
    for (const fd of [this.#pidfd, this.#status, this.#userNamespace]) fd.close();
  }
}

export class CapablePeers {
  readonly #ownUserNamespace: string;
  readonly #memory = allocateNative(STATUS_BYTES);
  /** Those that were found capable, by their identity, the one that came first in front. */
  readonly #kept = new Map<number, PeerProcess>();
  /** The latest of them, by their pid. */
  readonly #keptByPid = new Map<number, PeerProcess>();

  /** @param ownUserNamespace the inode of the daemon's user namespace */
  constructor(ownUserNamespace: number) {
    this.#ownUserNamespace = `user:[${ownUserNamespace}]`;
  }

  /**
   * Whether a peer has the capability in some user namespace: no proof, but cheap.
   * @param isStrict whether that has to be the daemon's own user namespace, which is dearer
   */
  seemsCapable({ credentials: { pid } }: Peer, isStrict: boolean): boolean {
    // 0 is one of another PID namespace; to capget(2), it is ourselves.
    if (pid === 0 || !hasEffectiveCapability(pid, CAP_SYS_ADMIN)) return false;
    return !isStrict || this.#isHere(pid);
  }

  #isHere(pid: number): boolean {
    try {
      return readlinkSync(`/proc/${pid}/ns/user`) === this.#ownUserNamespace;
    } catch {
      // It is gone. If anything else hinders us, the proof will say so.
      return false;
    }
  }

  /**
   * Whether a peer is capable, which is looked at now.
   * @throws SyscallError where the daemon lacks something for finding out (EMFILE)
   */
  isCapable(peer: Peer): boolean {
    const { pid } = peer.credentials;
    // A process of another PID namespace.
    if (pid === 0) return false;
    // An early no: most have no capability anywhere. A yes proves nothing: anybody has all
    // of them inside `unshare -U`, and while a set-uid program runs. The pid may be another
    // process's by now; then this one is gone, and a no is right.
    if (!hasEffectiveCapability(pid, CAP_SYS_ADMIN)) return false;
    if (this.#isKnown(peer)) return true;
    const pidfd = tryOpenPeer(peer);
    if (pidfd === undefined) return false;
    try {
      return this.#isCapable(peer, pidfd);
    } catch (error) {
      if (isErrno(error, "ENOENT", "ESRCH", "EACCES", "EPERM")) return false;
      throw error;
    } finally {
      pidfd.close();
    }
  }

  /** Whether a peer is a process that was proven to be capable a moment ago. */
  #isKnown(peer: Peer): boolean {
    const { pid, uid } = peer.credentials;
    const kept = this.#keptByPid.get(pid);
    if (kept?.hasConnectedBefore(peer) !== true || !kept.isProven(uid)) return false;
    try {
      return kept.isStillIn(this.#ownUserNamespace);
    } catch (error) {
      if (!isErrno(error, "ENOENT", "ESRCH", "EACCES", "EPERM")) throw error;
      // It is gone: the peer is another one, or gone as well.
      this.#keptByPid.delete(pid);
      return false;
    }
  }

  #isCapable(peer: Peer, pidfd: Fd): boolean {
    const { pid, uid } = peer.credentials;
    const identity = pidfdIdentity(pidfd.number);
    const kept = identity === undefined ? undefined : this.#kept.get(identity);
    if (kept !== undefined) return this.#look(kept, uid);
    const process = new PeerProcess(peer, pidfd);
    let isKept = false;
    try {
      // The files were opened by the pid.
      const isCapable = this.#look(process, uid) && process.isThere();
      if (isCapable && identity !== undefined) {
        this.#keep(identity, pid, process);
        isKept = true;
      }
      return isCapable;
    } finally {
      if (!isKept) process.close();
    }
  }

  #look(process: PeerProcess, uid: number): boolean {
    const startMs = monotonicMs();
    if (process.isProven(uid)) return process.isStillIn(this.#ownUserNamespace);
    for (let i = 0; i < LOOKS; i++) if (!process.isPrivileged(uid, this.#memory)) return false;
    if (!process.isStillIn(this.#ownUserNamespace)) return false;
    process.provenUid = uid;
    process.provenMs = startMs;
    return true;
  }

  #keep(identity: number, pid: number, process: PeerProcess): void {
    this.#kept.set(identity, process);
    this.#keptByPid.set(pid, process);
    if (this.#kept.size <= MAX_KEPT) return;
    for (const [oldest, gone] of this.#kept) {
      this.#kept.delete(oldest);
      for (const [pid, known] of this.#keptByPid) if (known === gone) this.#keptByPid.delete(pid);
      gone.close();
      return;
    }
  }
}
