/**
 * Finds out which peers hold CAP_SYS_ADMIN in the daemon's own user namespace.
 *
 * A spawner connects for each process that it starts, so its rights would have to be proven again
 * and again. Therefore the proof for a process stays valid for one second. Within that second the
 * daemon still checks the capability and the user namespace for each connection, but not the uids.
 *
 * The inode of the pidfd shows whether a peer is a process that has been proven capable before. So
 * does the pid, because a listening socket hands out connections in the order in which they were
 * made. If a process that still exists has made a connection, then a later connection with the same
 * pid was made while that process existed, and so by the same process. With the pid, the daemon
 * need not open a pidfd, which takes three system calls.
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
 * The number of times that the daemon reads a peer's rights. The kernel reports the uids and the
 * capabilities one after the other, so the uids from before the execution of a set-uid program
 * can come with the capabilities from after it; an attacker achieves that once in a few hundred
 * attempts. The next look sees the new uids: to deceive it as well, the process has to give them up
 * by then, and to execute such a program again at the right moment.
 */
const LOOKS = 4;

/** How long a proof is valid, in milliseconds. */
const PROOF_MS = 1000;

/**
 * How long a process that was found in another user namespace is assumed to still be there, in
 * milliseconds: it may connect many times in a row. It cannot enter the daemon's user namespace,
 * and its pid is not reused so soon.
 */
const ELSEWHERE_MS = 100;

/** The maximum number of such processes that are remembered. */
const MAX_ELSEWHERE = 64;

/**
 * The maximum number of processes whose files are kept open; see the descriptor budget in
 * docs/design.md.
 */
const MAX_KEPT = 64;

/**
 * The size of the buffer for `/proc/PID/status`, in bytes. The text is some 1,500 bytes long, and
 * longer if the process has many groups.
 */
const STATUS_BYTES = 64 * 1024;

/** The open files from which the rights of a process can be read at any time. */
class PeerProcess {
  readonly #pidfd: Fd;
  readonly #status: Fd;
  readonly #userNamespace: Fd;
  /** The uid of the connections for which the process was proven capable. */
  provenUid: number | undefined;
  /** The time at which the proof began, in milliseconds of the monotonic clock. */
  provenMs = 0;
  /** Of the connections of the process, the one whose peer was checked first. */
  readonly #first: Pick<Peer, "acceptedMs" | "listenerFd">;

  /**
   * @param pidfd ownership passes to this object, unless the constructor throws. The pidfd is kept
   *   because the kernel then opens another pidfd of the same process faster
   * @throws SyscallError, or an error of Node such as ENOENT
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

  /**
   * Returns whether a peer with the same pid is this process, provided that this process still
   * exists.
   */
  hasConnectedBefore({ acceptedMs, listenerFd }: Peer): boolean {
    return this.#first.listenerFd === listenerFd && this.#first.acceptedMs < acceptedMs;
  }

  /** Returns whether the process has a valid proof for connections of this uid. */
  isProven(uid: number): boolean {
    return this.provenUid === uid && monotonicMs() - this.provenMs < PROOF_MS;
  }

  /** Returns whether the process runs as `uid` alone and has the capability. */
  isPrivileged(uid: number, memory: NativeMemory): boolean {
    const length = readStartInto(this.#status.number, memory);
    if (length < 0) throw new SyscallError("read", -length, { file: "status" });
    // The text was cut off: the process has so many groups, which come before the capabilities,
    // that it can only be an attacker.
    if (length === memory.bytes.length) return false;
    return hasCapability(parseRights(memory.bytes.toString("latin1", 0, length)), uid);
  }

  /**
   * Returns whether the process is in this user namespace. This has to be checked last: no process
   * can return to a user namespace that it has left, so a process that is in this one now was also
   * in it when its capabilities were read. The open file refers to one process until that process
   * is reaped, so a result shows that the pid still belongs to the process.
   * @param userNamespace text like `user:[INODE]`
   * @throws SyscallError EACCES if the process is gone
   */
  isStillIn(userNamespace: string): boolean {
    return readOpenLink(this.#userNamespace.number) === userNamespace;
  }

  /**
   * Returns whether the process of the pidfd exists. If so, the pid still belongs to it, and the
   * files that were opened as `/proc/PID/...` are its files.
   */
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
  /** The processes that were found capable, by the inode of the pidfd, the oldest entry first. */
  readonly #kept = new Map<number, PeerProcess>();
  /** The latest process for each pid. */
  readonly #keptByPid = new Map<number, PeerProcess>();

  /**
   * The times at which processes were found in another user namespace, by pid, in milliseconds of
   * the monotonic clock.
   */
  readonly #elsewhere = new Map<number, number>();

  /** @param ownUserNamespace the inode of the daemon's user namespace */
  constructor(ownUserNamespace: number) {
    this.#ownUserNamespace = `user:[${ownUserNamespace}]`;
  }

  /**
   * Returns whether a peer has the capability in some user namespace, which is cheap to find out
   * but proves nothing.
   * @param isStrict true to require the daemon's own user namespace, which costs more
   */
  seemsCapable({ credentials: { pid } }: Peer, isStrict: boolean): boolean {
    // The pid is 0 if the process is in another PID namespace; to capget(2), 0 means the caller.
    if (pid === 0 || !hasEffectiveCapability(pid, CAP_SYS_ADMIN)) return false;
    return !isStrict || this.#isHere(pid);
  }

  #isHere(pid: number): boolean {
    const nowMs = monotonicMs();
    const elsewhereMs = this.#elsewhere.get(pid);
    if (elsewhereMs !== undefined && nowMs - elsewhereMs < ELSEWHERE_MS) return false;
    try {
      if (readlinkSync(`/proc/${pid}/ns/user`) === this.#ownUserNamespace) return true;
      if (this.#elsewhere.size >= MAX_ELSEWHERE) this.#elsewhere.clear();
      this.#elsewhere.set(pid, nowMs);
      return false;
    } catch {
      // The process is probably gone. Any other error is reported by the proof, except in a flood.
      return false;
    }
  }

  /**
   * Checks now whether a peer is capable.
   * @throws SyscallError if the daemon lacks a resource for finding out (EMFILE)
   */
  isCapable(peer: Peer): boolean {
    const { pid } = peer.credentials;
    // The process is in another PID namespace.
    if (pid === 0) return false;
    // Refuse early: most processes do not have the capability in any user namespace. Having it
    // proves nothing: any process can get it with `unshare -U`, or by executing a set-uid program.
    // The pid may belong to another process by now; then the peer is gone, and may be refused.
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

  /** Returns whether a peer is a process with a valid proof. */
  #isKnown(peer: Peer): boolean {
    const { pid, uid } = peer.credentials;
    const kept = this.#keptByPid.get(pid);
    if (kept?.hasConnectedBefore(peer) !== true || !kept.isProven(uid)) return false;
    try {
      return kept.isStillIn(this.#ownUserNamespace);
    } catch (error) {
      if (!isErrno(error, "ENOENT", "ESRCH", "EACCES", "EPERM")) throw error;
      // The process is gone: the peer is another process, or gone too.
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
      // The files were opened as `/proc/PID/...`, so check that the process still exists.
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
