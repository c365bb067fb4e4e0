/**
 * Which peers hold CAP_SYS_ADMIN in the daemon's own user namespace.
 *
 * A spawner connects for each process that it starts, so its rights would be proven again
 * and again. A proof that said yes counts for the same process for a second: what is looked
 * at then is its capability and its user namespace as they are now, but no more its uids.
 * The pidfd says that it is the same process, not the pid.
 */
import {
  allocateNative,
  CAP_SYS_ADMIN,
  type Fd,
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

/** The files of a process that tell its rights, now and later. */
class RightsFiles {
  readonly #status: Fd;
  readonly #userNamespace: Fd;

  /** @throws SyscallError, or Node's error, such as ENOENT */
  constructor(pid: number) {
    this.#status = openFile(`/proc/${pid}/status`, 0);
    try {
      this.#userNamespace = openFile(`/proc/${pid}/ns/user`, O_PATH | O_NOFOLLOW);
    } catch (error) {
      this.#status.close();
      throw error;
    }
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

  /** `user:[INODE]` */
  userNamespace(): string {
    return readOpenLink(this.#userNamespace.number);
  }

  close(): void {
    this.#status.close();
    this.#userNamespace.close();
  }
}

/** A process that was found capable. */
interface Proof {
  readonly files: RightsFiles;
  readonly uid: number;
  /** When the looks began, milliseconds of the monotonic clock. */
  readonly provenMs: number;
}

export class CapablePeers {
  readonly #ownUserNamespace: string;
  readonly #memory = allocateNative(STATUS_BYTES);
  /** By the identity of the process, in the order in which they were proven. */
  readonly #proofs = new Map<number, Proof>();

  /** @param ownUserNamespace the inode of the daemon's user namespace */
  constructor(ownUserNamespace: number) {
    this.#ownUserNamespace = `user:[${ownUserNamespace}]`;
  }

  /**
   * Whether a peer is capable, which is looked at now.
   * @throws SyscallError where the daemon lacks something for finding out (EMFILE)
   */
  isCapable(peer: Peer): boolean {
    const { pid } = peer.credentials;
    // A process of another PID namespace.
    if (pid === 0) return false;
    using pidfd = tryOpenPeer(peer);
    // An early no: most have no capability anywhere. A yes proves nothing: anybody has all
    // of them inside `unshare -U`, and while a set-uid program runs.
    if (pidfd === undefined || !hasEffectiveCapability(pid, CAP_SYS_ADMIN)) return false;
    try {
      return this.#look(peer, pidfd);
    } catch (error) {
      if (isErrno(error, "ENOENT", "ESRCH", "EACCES", "EPERM")) return false;
      throw error;
    }
  }

  #look(peer: Peer, pidfd: Fd): boolean {
    const { pid, uid } = peer.credentials;
    const identity = pidfdIdentity(pidfd.number);
    const known = identity === undefined ? undefined : this.#proofs.get(identity);
    const startMs = monotonicMs();
    if (known !== undefined && known.uid === uid && startMs - known.provenMs < PROOF_MS)
      return this.#isStillThere(known.files, pidfd);
    const files = known?.files ?? new RightsFiles(pid);
    let isKept = known !== undefined;
    try {
      for (let i = 0; i < LOOKS; i++) if (!files.isPrivileged(uid, this.#memory)) return false;
      if (!this.#isStillThere(files, pidfd)) return false;
      if (identity !== undefined) {
        this.#keep(identity, { files, uid, provenMs: startMs });
        isKept = true;
      }
      return true;
    } finally {
      if (!isKept) files.close();
    }
  }

  /**
   * Whether it is in our user namespace, and not gone. Comes last: there is no way back out
   * of a user namespace, so whoever is in ours now had these capabilities in ours. And its
   * pid was its own all the time.
   */
  #isStillThere(files: RightsFiles, pidfd: Fd): boolean {
    return files.userNamespace() === this.#ownUserNamespace && pidfdSendSignal(pidfd.number, 0);
  }

  #keep(identity: number, proof: Proof): void {
    // To the end: the first is the one that was proven longest ago.
    this.#proofs.delete(identity);
    this.#proofs.set(identity, proof);
    if (this.#proofs.size <= MAX_KEPT) return;
    for (const [oldest, { files }] of this.#proofs) {
      this.#proofs.delete(oldest);
      files.close();
      return;
    }
  }
}
