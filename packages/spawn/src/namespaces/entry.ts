/** One name: its namespaces and its leases. */
import { fstatSync, openSync, readSync } from "node:fs";
import {
  createNamespace,
  createUserNamespace,
  Fd,
  isErrno,
  pidfdOpen,
  tryPidfdOpen,
} from "@cm4all/linux";
import { decodeUserMaps } from "@cm4all/spawn-protocol";
import type { Context, Namespace } from "./context.ts";
import type { Watch } from "./engine.ts";
import { Refusal } from "./errors.ts";
import { endChild, Init, spawnInit } from "./init.ts";
import { readPidNamespace } from "./process-scan.ts";
import type { NameDirectory, StoredName } from "./store.ts";

interface PidNamespace extends Namespace {
  readonly init: Init;
}

/** What happens to a name without a request. */
export interface EntryEvents {
  /** The last lease was closed. */
  leasesClosed(entry: Entry): void;
  /** The init ended, though nobody here ended it. */
  initDied(entry: Entry): void;
}

/** Takes back what a request has made, when a later part of it fails. */
export type Undo = () => void;

export class Entry {
  readonly name: string;
  readonly #context: Context;
  readonly #directory: NameDirectory;
  readonly #events: EntryEvents;
  #ipc: Namespace | undefined;
  #pid: PidNamespace | undefined;
  /** By payload, as latin1. */
  readonly #users = new Map<string, Namespace>();
  #nextUserIndex = 0;
  #leases: { reader: Fd; watch: Watch } | undefined;

  constructor(context: Context, name: string, directory: NameDirectory, events: EntryEvents) {
    this.#context = context;
    this.name = name;
    this.#directory = directory;
    this.#events = events;
  }

  get isLeased(): boolean {
    return this.#leases !== undefined;
  }

  get isEmpty(): boolean {
    return this.#ipc === undefined && this.#pid === undefined && this.#users.size === 0;
  }

  get hasIpc(): boolean {
    return this.#ipc !== undefined;
  }

  get userNamespaceCount(): number {
    return this.#users.size;
  }

  /** The init of the PID namespace, where there is one. */
  get init(): Init | undefined {
    return this.#pid?.init;
  }

  /** The IPC namespace's descriptor, which stays the cache's. */
  ipcHandle(undo: Undo[]): number {
    if (this.#ipc === undefined) {
      const namespace: Namespace = { file: "ipc" };
      const fd = createNamespace("ipc");
      this.#keep(namespace, fd, () => this.#directory.keep("ipc", fd.number));
      this.#ipc = namespace;
      undo.push(() => {
        this.#ipc = undefined;
        this.#drop(namespace);
      });
    }
    return this.#handle(this.#ipc);
  }

  /** The PID namespace's descriptor, which stays the cache's. */
  pidHandle(undo: Undo[]): number {
    if (this.#pid === undefined) {
      this.#pid = this.#createPid();
      undo.push(() => this.#endPid());
    }
    return this.#handle(this.#pid);
  }

  /** The descriptor of the user namespace for `payload`, which stays the cache's. */
  userHandle(payload: Uint8Array, undo: Undo[]): number {
    const key = Buffer.from(payload).toString("latin1");
    const existing = this.#users.get(key);
    if (existing !== undefined) return this.#handle(existing);
    const limit = this.#context.policy.quotas.userNamespacesPerName;
    if (this.#users.size >= limit)
      throw new Refusal(`quota reached: ${limit} user namespaces of one name`);
    const fd = createUserNamespace(decodeUserMaps(payload));
    const index = this.#nextUserIndex++;
    const namespace: Namespace = { file: `user-${index}` };
    this.#keep(namespace, fd, () => this.#directory.keepUser(index, payload, fd.number));
    this.#users.set(key, namespace);
    undo.push(() => {
      this.#users.delete(key);
      this.#drop(namespace);
    });
    return this.#handle(namespace);
  }

  /** A lease: the write end of a pipe. The caller owns it. */
  lease(): Fd {
    if (this.#leases !== undefined) return this.#directory.openLease();
    const reader = this.#directory.openLeaseReader();
    let writer: Fd | undefined;
    try {
      writer = this.#directory.openLease();
      this.#watchLeases(reader);
      return writer;
    } catch (error) {
      writer?.close();
      reader.close();
      throw error;
    }
  }

  /**
   * Takes up what an earlier run has left.
   * @param initPids the init of each PID namespace that has one, by inode
   */
  restore(stored: StoredName, initPids: ReadonlyMap<number, number>): void {
    if (stored.ipc) this.#ipc = { file: "ipc" };
    if (stored.pid) this.#restorePid(initPids);
    for (const { index, payload } of stored.users) {
      this.#users.set(payload.toString("latin1"), { file: `user-${index}` });
      this.#nextUserIndex = Math.max(this.#nextUserIndex, index + 1);
    }
    if (this.#directory.hasLeasePipe()) {
      const reader = this.#directory.openLeaseReader();
      if (hasWriters(reader)) this.#watchLeases(reader);
      else reader.close();
    }
  }

  #restorePid(initPids: ReadonlyMap<number, number>): void {
    const inode = this.#directory.inode("pid");
    const pid = initPids.get(inode);
    if (pid === undefined || !this.adoptInit(pid, inode)) this.#directory.drop("pid");
  }

  /**
   * Takes up an init that runs already, whose namespace the store keeps.
   * @returns false where the process is gone
   */
  adoptInit(pid: number, inode: number): boolean {
    const pidfd = tryPidfdOpen(pid);
    if (pidfd === undefined) return false;
    // Now that the pidfd is held: is it still the process that was found?
    if (readPidNamespace(pid) !== inode) {
      pidfd.close();
      return false;
    }
    this.#pid = { file: "pid", init: this.#watchInit(pid, pidfd, inode) };
    return true;
  }

  /** Keeps the PID namespace of an init that the store did not know, and takes it up. */
  adoptUnknownInit(pid: number, inode: number): boolean {
    try {
      using fd = new Fd(openSync(`/proc/${pid}/ns/pid`, "r"));
      this.#directory.keep("pid", fd.number);
    } catch (error) {
      if (isErrno(error, "ENOENT", "ESRCH")) return false;
      throw error;
    }
    if (this.adoptInit(pid, inode)) return true;
    this.#directory.drop("pid");
    return false;
  }

  /**
   * Lets everything go; the init and all processes of its namespace are ended.
   * @throws SyscallError (EMFILE) before anything is done
   */
  remove(): void {
    this.#directory.remove();
    const init = this.#pid?.init;
    for (const namespace of [this.#ipc, this.#pid, ...this.#users.values()])
      if (namespace !== undefined) this.#context.handles.delete(namespace);
    this.#ipc = undefined;
    this.#pid = undefined;
    this.#users.clear();
    this.#endLeases();
    init?.kill();
  }

  #handle(namespace: Namespace): number {
    return this.#context.handles.get(namespace, () => this.#directory.open(namespace.file));
  }

  /** Stores a namespace that was just made. @param fd owned from then on */
  #keep(namespace: Namespace, fd: Fd, keep: () => void): void {
    try {
      keep();
    } catch (error) {
      fd.close();
      throw error;
    }
    this.#context.handles.add(namespace, fd);
  }

  #drop(namespace: Namespace): void {
    this.#context.handles.delete(namespace);
    this.#directory.drop(namespace.file);
  }

  #createPid(): PidNamespace {
    const { store, ownPidNamespace } = this.#context;
    const pid = store.outside(() => spawnInit(this.name, ownPidNamespace));
    let init: Init | undefined;
    try {
      const fd = new Fd(openSync(`/proc/${pid}/ns/pid`, "r"));
      const namespace = { file: "pid" as const, init: this.#watchChild(pid, fd) };
      init = namespace.init;
      this.#keep(namespace, fd, () => this.#directory.keep("pid", fd.number));
      return namespace;
    } catch (error) {
      if (init === undefined) endChild(pid);
      else init.kill();
      throw error;
    }
  }

  /** @param fd its PID namespace, closed where it throws */
  #watchChild(pid: number, fd: Fd): Init {
    try {
      // It cannot be gone: it is our child, and nobody has reaped it.
      return this.#watchInit(pid, pidfdOpen(pid), fstatSync(fd.number).ino);
    } catch (error) {
      fd.close();
      throw error;
    }
  }

  /** @param pidfd owned from then on */
  #watchInit(pid: number, pidfd: Fd, inode: number): Init {
    const init = new Init(pid, pidfd, inode, this.#context.engine, () => {
      // Otherwise it was ended on purpose, and is forgotten already.
      if (this.#pid?.init !== init) return;
      this.#endPid();
      this.#events.initDied(this);
    });
    return init;
  }

  #endPid(): void {
    const namespace = this.#pid;
    if (namespace === undefined) return;
    this.#pid = undefined;
    this.#drop(namespace);
    namespace.init.kill();
  }

  #watchLeases(reader: Fd): void {
    const watch = this.#context.engine.watch(reader.number, 0, () => {
      // A new lease may have been given out since the last one was closed.
      if (hasWriters(reader)) return;
      this.#endLeases();
      this.#events.leasesClosed(this);
    });
    this.#leases = { reader, watch };
  }

  #endLeases(): void {
    this.#leases?.watch.end();
    this.#leases?.reader.close();
    this.#leases = undefined;
  }
}

const scratch = Buffer.alloc(64 * 1024);

/** Whether a FIFO has writers. What they wrote, which nobody asked for, is thrown away. */
function hasWriters(reader: Fd): boolean {
  try {
    // More than any pipe holds: then somebody keeps writing.
    for (let i = 0; i < 64; i++) if (readSync(reader.number, scratch) === 0) return false;
    return true;
  } catch (error) {
    if (isErrno(error, "EAGAIN")) return true;
    throw error;
  }
}
