import {
  constants,
  existsSync,
  lstatSync,
  openSync,
  readdirSync,
  rmdirSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { readRegularFile } from "@cm4all/command/regular-file";
import {
  errorText,
  Fd,
  isErrno,
  MNT_DETACH,
  MS_BIND,
  mkfifo,
  mount,
  O_NONBLOCK,
  openFile,
  umount,
} from "@cm4all/linux";
import { MAX_DATAGRAM_SIZE, NAMESPACE_KINDS, type NamespaceKind } from "@cm4all/spawn-protocol";
import { hasRunShort } from "../errors.ts";
import { KEPT_KINDS } from "./kinds.ts";

const { O_CREAT, O_EXCL, O_WRONLY } = constants;

const NO_PAYLOAD = Buffer.alloc(0);

/** The suffix of the file with a namespace's payload. So far, all payloads are uid and gid maps. */
const PAYLOAD = ".maps";

/** A stored namespace, as found after a restart. */
export interface StoredNamespace {
  readonly kind: NamespaceKind;
  readonly file: string;
  /** The number in `file`; undefined for a kind without payloads. */
  readonly index: number | undefined;
  /** The payload of the request that made it; empty for a kind without payloads. */
  readonly payload: Buffer;
}

/** A stored name, as found after a restart. */
export interface StoredName {
  readonly name: string;
  readonly directory: NameDirectory;
  readonly namespaces: readonly StoredNamespace[];
  /** Greater than the index of each file, including files that are not used. */
  readonly nextIndex: number;
  /** The uid that made the name; undefined if the daemon that stored it did not record the uid. */
  readonly uid: number | undefined;
  /** True if there are files that cannot be used. They stay until the name ends. */
  readonly hasUnusable: boolean;
}

/** The directory of one name in the store. */
export class NameDirectory {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /**
   * Keeps the namespace of `fd`.
   * @param payload the payload, if the kind has payloads
   * @throws SyscallError ENOSPC: fs.mount-max is reached
   */
  keep(file: string, fd: number, payload?: Uint8Array): void {
    const target = `${this.path}/${file}`;
    this.#makeMountPoint(file);
    try {
      if (payload !== undefined) writeFileSync(target + PAYLOAD, payload);
      mount({ source: `/proc/thread-self/fd/${fd}`, target, flags: MS_BIND });
    } catch (error) {
      for (const path of [target, target + PAYLOAD]) rmSync(path, { force: true });
      throw error;
    }
  }

  #makeMountPoint(file: string): void {
    const make = () => openFile(`${this.path}/${file}`, O_WRONLY | O_CREAT | O_EXCL, 0o666).close();
    try {
      make();
    } catch (error) {
      // The file belongs to an earlier namespace and could not be dropped.
      if (!isErrno(error, "EEXIST")) throw error;
      this.drop(file);
      make();
    }
  }

  /** Opens a namespace that is kept. The caller owns the descriptor. */
  open(file: string): Fd {
    return new Fd(openSync(`${this.path}/${file}`, "r"));
  }

  /** Returns the inode of a namespace that is kept. */
  inode(file: string): number {
    return statSync(`${this.path}/${file}`).ino;
  }

  /** Stops keeping a namespace. */
  drop(file: string): void {
    const target = `${this.path}/${file}`;
    if (isMounted(target, this.path)) umount(target, MNT_DETACH);
    unlinkSync(target);
    rmSync(target + PAYLOAD, { force: true });
  }

  /** Opens the read end of the lease FIFO, non-blocking. The caller owns the descriptor. */
  openLeaseReader(): Fd {
    const path = `${this.path}/lease`;
    if (!existsSync(path)) mkfifo(path, 0o600);
    return new Fd(openSync(path, O_NONBLOCK));
  }

  /** Opens a lease: a new write end, which the caller owns. There must be a reader. */
  openLease(): Fd {
    return openFile(`${this.path}/lease`, O_NONBLOCK | O_WRONLY);
  }

  /** Returns whether the name was ever leased. */
  hasLeasePipe(): boolean {
    return existsSync(`${this.path}/lease`);
  }

  /**
   * Reads what is kept. Returns undefined if the file `name` is missing or empty: the earlier run
   * had not finished making or removing the name.
   * @param setAside called for each file that cannot be used, with the reason
   * @throws Error if this is not the directory of a name, or if resources have run short
   */
  tryRead(setAside: (file: string, reason: string) => void): StoredName | undefined {
    let name: string;
    try {
      name = this.#read("name").toString("latin1");
    } catch (error) {
      if (isErrno(error, "ENOENT")) return undefined;
      throw error;
    }
    if (name === "") return undefined;
    let hasUnusable = false;
    const leaveAlone = (file: string, reason: string) => {
      hasUnusable = true;
      setAside(file, reason);
    };
    const files = readdirSync(this.path);
    const namespaces = files.flatMap((file) => {
      try {
        return this.#tryReadNamespace(file) ?? [];
      } catch (error) {
        if (hasRunShort(error)) throw error;
        leaveAlone(file, errorText(error));
        return [];
      }
    });
    const indexes = files.map((file) => Number(/-(\d{1,15})$/.exec(file)?.[1] ?? -1));
    const nextIndex = Math.max(-1, ...indexes) + 1;
    const uid = this.#tryReadUid(leaveAlone);
    return { name, directory: this, namespaces, nextIndex, uid, hasUnusable };
  }

  #tryReadUid(setAside: (file: string, reason: string) => void): number | undefined {
    try {
      const text = this.#read("uid").toString("latin1");
      if (/^\d{1,10}$/.test(text)) return Number(text);
      setAside("uid", "it is not a uid");
    } catch (error) {
      if (hasRunShort(error)) throw error;
      if (!isErrno(error, "ENOENT")) setAside("uid", errorText(error));
    }
    return undefined;
  }

  #tryReadNamespace(file: string): StoredNamespace | undefined {
    const found = tryParseFile(file);
    if (found === undefined || !isMounted(`${this.path}/${file}`, this.path)) return undefined;
    if (found.index === undefined) return { ...found, file, payload: NO_PAYLOAD };
    return { ...found, file, payload: this.#read(file + PAYLOAD) };
  }

  /**
   * Reads a file, which may be of any type and size. Everything that the daemon stores came in one
   * datagram, so nothing longer is read.
   */
  #read(file: string): Buffer {
    return readRegularFile(`${this.path}/${file}`, MAX_DATAGRAM_SIZE);
  }

  /** Removes the file `name`. If the daemon ends before `remove`, its next start does the rest. */
  removeName(): void {
    rmSync(`${this.path}/name`, { force: true });
  }

  /** Returns whether there is a subdirectory, which the store did not make. */
  hasSubdirectory(): boolean {
    return readdirSync(this.path, { withFileTypes: true }).some((entry) => entry.isDirectory());
  }

  /** Removes everything that is kept of the name. A subdirectory stays, and this one with it. */
  remove(): void {
    for (const entry of readdirSync(this.path, { withFileTypes: true })) {
      const path = `${this.path}/${entry.name}`;
      if (entry.isDirectory()) continue;
      if (isMounted(path, this.path)) umount(path, MNT_DETACH);
      unlinkSync(path);
    }
    try {
      rmdirSync(this.path);
    } catch (error) {
      if (!isErrno(error, "ENOTEMPTY")) throw error;
    }
  }
}

/**
 * Returns whether a file system is mounted over `path`, which lies in `directory`; for a symbolic
 * link, whether one is mounted over the link itself.
 */
function isMounted(path: string, directory: string): boolean {
  return lstatSync(path).dev !== statSync(directory).dev;
}

/** Returns which namespace a file is for; undefined for a file with another purpose. Pure. */
function tryParseFile(file: string): Pick<StoredNamespace, "kind" | "index"> | undefined {
  const [, stem, number] = /^([a-z]+)(?:-(\d+))?$/.exec(file) ?? [];
  const index = number === undefined ? undefined : Number(number);
  for (const { kind, takesPayload } of NAMESPACE_KINDS)
    if (KEPT_KINDS[kind].file === stem && takesPayload === (index !== undefined))
      return { kind, index };
  return undefined;
}
