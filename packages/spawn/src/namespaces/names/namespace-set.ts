/** Everything that is kept under one name: its namespaces and its leases. */
import { openSync } from "node:fs";
import { Fd, inodeOf, isErrno, pidfdOpen, tryPidfdOpen } from "@cm4all/linux";
import { KINDS, type NamespaceKind } from "@cm4all/spawn-protocol";
import type { EventLoop } from "../../thread/event-loop.ts";
import { isSystemError, type OnError, Refusal } from "../errors.ts";
import type { Quotas } from "../settings.ts";
import type { DescriptorCache } from "./descriptor-cache.ts";
import { endChild, Init } from "./init.ts";
import { type Created, KEPT_KINDS } from "./kinds.ts";
import { type FileIdentity, Leases } from "./leases.ts";
import type { NameDirectory, StoredName } from "./name-directory.ts";
import { tryReadPidNamespace } from "./process-scan.ts";

/** A namespace that is kept. The object is also the key of its open descriptor in the cache. */
export interface KeptNamespace {
  readonly kind: NamespaceKind;
  /** The name of its file in the name's directory. */
  readonly file: string;
  /** The init, if it is a PID namespace. */
  readonly init?: Init | undefined;
}

/** The tools that the sets of all names use. */
export interface Tools {
  readonly loop: EventLoop;
  readonly descriptors: DescriptorCache<KeptNamespace>;
  /** Starts an init for a name in a new PID namespace. @returns the init's pid */
  readonly startInit: (name: string) => number;
  readonly onError: OnError;
}

/** The owner of the sets of all names. */
export interface SetOwner {
  readonly quotas: Quotas;
  /** The number of namespaces with a payload in all sets together. */
  payloadNamespaces: number;
  /** Called when the last lease has been closed. */
  leasesClosed(set: NamespaceSet): void;
  /** Called when the init has ended without having been killed by this set. */
  initDied(set: NamespaceSet): void;
  /** Called after a namespace has ended by itself: the set may have nothing left. */
  removeIfUseless(set: NamespaceSet): void;
}

/** Undoes one step of a request, if a later step of the request fails. */
export type Undo = () => void;

export class NamespaceSet {
  readonly name: string;
  /** The uid that made the name; undefined if it is not known. */
  readonly uid: number | undefined;
  readonly #directory: NameDirectory;
  readonly #tools: Tools;
  readonly #owner: SetOwner;
  /** The namespaces by kind and payload. */
  readonly #namespaces = new Map<string, KeptNamespace>();
  #nextIndex = 0;
  /** The number of these namespaces that have a payload. */
  #payloads = 0;
  readonly #leases: Leases;
  #hasEnded = false;

  constructor(
    name: string,
    uid: number | undefined,
    directory: NameDirectory,
    tools: Tools,
    owner: SetOwner,
  ) {
    this.name = name;
    this.uid = uid;
    this.#directory = directory;
    this.#tools = tools;
    this.#owner = owner;
    this.#leases = new Leases(directory, tools.loop, tools.onError, () => owner.leasesClosed(this));
  }

  /** True once `remove` has removed the name's file. If it then failed, other files are left. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  get isLeased(): boolean {
    return this.#leases.areOpen;
  }

  /** Returns the FIFO whose writers are the leases; undefined before the first lease. */
  get leasePipe(): FileIdentity | undefined {
    return this.#leases.pipe;
  }

  /** Returns whether the set has no namespace. */
  get isEmpty(): boolean {
    return this.#namespaces.size === 0;
  }

  /** Yields the kind of each namespace; a kind may come more than once. */
  *kinds(): Generator<NamespaceKind> {
    for (const { kind } of this.#namespaces.values()) yield kind;
  }

  /** Returns the init of the PID namespace, if there is one. */
  get init(): Init | undefined {
    return this.#namespaces.get("pid")?.init;
  }

  /**
   * Returns a namespace's descriptor, which the cache owns. Makes the namespace if it does not
   * exist yet.
   * @throws Refusal if a quota is reached
   * @throws SyscallError if the kernel refuses
   */
  open(kind: NamespaceKind, payload: Uint8Array, undo: Undo[]): number {
    const key = keyOf(kind, payload);
    let namespace = this.#namespaces.get(key);
    const isGone = namespace?.init?.hasEnded === true;
    if (isGone) {
      this.#end(key);
      this.#owner.initDied(this);
    }
    if (namespace === undefined || isGone) {
      namespace = this.#create(kind, payload);
      this.#add(key, namespace);
      undo.push(() => this.#end(key));
    }
    const { descriptors } = this.#tools;
    return (
      descriptors.tryGet(namespace) ??
      descriptors.add(namespace, this.#directory.open(namespace.file))
    );
  }

  /** Opens a lease: the write end of a FIFO. The caller owns it. */
  lease(): Fd {
    return this.#leases.open();
  }

  /**
   * Takes over what an earlier run has left behind.
   * @param initPids the pids of the inits, by the inodes of their PID namespaces
   */
  restore(stored: StoredName, initPids: ReadonlyMap<number, number>): void {
    this.#nextIndex = stored.nextIndex;
    // If two namespaces have the same payload, the earlier one has ended, but its file could not be
    // dropped.
    const latestFirst = stored.namespaces.toSorted((a, b) => (b.index ?? 0) - (a.index ?? 0));
    for (const { kind, file, payload } of latestFirst) {
      const key = keyOf(kind, payload);
      if (kind === "pid") this.#restorePid(initPids);
      else if (!this.#namespaces.has(key)) this.#add(key, { kind, file });
    }
    this.#leases.restore();
  }

  /** Forgets the namespaces and leases, which stay in the store as they are. */
  abandon(): void {
    for (const namespace of this.#namespaces.values()) this.#tools.descriptors.delete(namespace);
    this.#namespaces.clear();
    this.#owner.payloadNamespaces -= this.#payloads;
    this.#payloads = 0;
    this.#leases.end();
  }

  #restorePid(initPids: ReadonlyMap<number, number>): void {
    const { file } = KEPT_KINDS.pid;
    const inode = this.#directory.inode(file);
    const pid = initPids.get(inode);
    if (pid === undefined || !this.#tryAdoptInit(pid, inode)) this.#directory.drop(file);
  }

  /**
   * Takes over an init that is already running and whose namespace the store keeps.
   * @returns false if the process is gone
   */
  #tryAdoptInit(pid: number, inode: number): boolean {
    const pidfd = tryPidfdOpen(pid);
    if (pidfd === undefined) return false;
    // The pidfd is open now: check that its process is still the one that was found.
    if (tryReadPidNamespace(pid) !== inode) {
      pidfd.close();
      return false;
    }
    const init = this.#watchInit(pid, pidfd, inode);
    this.#namespaces.set("pid", { kind: "pid", file: KEPT_KINDS.pid.file, init });
    return true;
  }

  /**
   * Takes over an init that the store did not know, and keeps its PID namespace.
   * @returns false if the process is gone
   */
  tryAdoptUnknownInit(pid: number, inode: number): boolean {
    const { file } = KEPT_KINDS.pid;
    try {
      using fd = new Fd(openSync(`/proc/${pid}/ns/pid`, "r"));
      this.#directory.keep(file, fd.number);
    } catch (error) {
      if (isErrno(error, "ENOENT", "ESRCH")) return false;
      throw error;
    }
    if (this.#tryAdoptInit(pid, inode)) return true;
    this.#directory.drop(file);
    return false;
  }

  /**
   * Removes everything; kills the init and all processes of its namespace.
   * @throws SyscallError if something is left (ENOMEM, EMFILE): another call removes the rest
   */
  remove(): void {
    this.#directory.removeName();
    this.#hasEnded = true;
    this.init?.kill();
    this.abandon();
    this.#directory.remove();
  }

  #create(kind: NamespaceKind, payload: Uint8Array): KeptNamespace {
    const { takesPayload, title } = KINDS[kind];
    if (takesPayload) {
      const { userNamespaces, userNamespacesPerName } = this.#owner.quotas;
      if (this.#payloads >= userNamespacesPerName)
        throw new Refusal(
          `quota reached: ${userNamespacesPerName} ${title} namespaces of one name`,
        );
      if (this.#owner.payloadNamespaces >= userNamespaces)
        throw new Refusal(`quota reached: ${userNamespaces} ${title} namespaces`);
    }
    const startInit = () => this.#tools.startInit(this.name);
    const created = KEPT_KINDS[kind].create({ payload, startInit });
    const file = KEPT_KINDS[kind].file + (takesPayload ? `-${this.#nextIndex++}` : "");
    return this.#keep(kind, file, created, takesPayload ? payload : undefined);
  }

  #add(key: string, namespace: KeptNamespace): void {
    this.#namespaces.set(key, namespace);
    this.#count(namespace, 1);
  }

  #count({ kind }: KeptNamespace, difference: number): void {
    if (!KINDS[kind].takesPayload) return;
    this.#payloads += difference;
    this.#owner.payloadNamespaces += difference;
  }

  /** Stores a namespace that was just made. @param created ownership passes to the set */
  #keep(
    kind: NamespaceKind,
    file: string,
    { fd, initPid }: Created,
    payload: Uint8Array | undefined,
  ): KeptNamespace {
    let init: Init | undefined;
    try {
      if (initPid !== undefined) {
        // The init cannot be gone: it is our child, and nobody has reaped it.
        init = this.#watchInit(initPid, pidfdOpen(initPid), inodeOf(fd.number));
      }
      this.#directory.keep(file, fd.number, payload);
    } catch (error) {
      fd.close();
      if (init !== undefined) init.kill();
      else if (initPid !== undefined) endChild(initPid);
      throw error;
    }
    const namespace = { kind, file, init };
    this.#tools.descriptors.add(namespace, fd);
    return namespace;
  }

  /** @param pidfd ownership passes to the new Init */
  #watchInit(pid: number, pidfd: Fd, inode: number): Init {
    const init = new Init(pid, pidfd, inode, this.#tools.loop, () => {
      // If the set has another init or none, this one was ended on purpose and was forgotten.
      if (this.init !== init) return;
      this.#end("pid");
      this.#owner.initDied(this);
      this.#owner.removeIfUseless(this);
    });
    return init;
  }

  #end(key: string): void {
    const namespace = this.#namespaces.get(key);
    if (namespace === undefined) return;
    this.#namespaces.delete(key);
    this.#count(namespace, -1);
    this.#tools.descriptors.delete(namespace);
    namespace.init?.kill();
    try {
      this.#directory.drop(namespace.file);
    } catch (error) {
      // The file is removed when the next namespace needs its path, or when the name ends.
      if (!isSystemError(error)) throw error;
      this.#tools.onError("the file of a namespace cannot be removed for now", error);
    }
  }
}

function keyOf(kind: NamespaceKind, payload: Uint8Array): string {
  return payload.length === 0 ? kind : `${kind} ${Buffer.from(payload).toString("latin1")}`;
}
