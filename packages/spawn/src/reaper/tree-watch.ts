/**
 * Watches directories below a root, and one file in each where that is wanted. It
 * knows nothing of cgroups; `TreeRules` say which directories matter.
 *
 * A directory is watched before it is listed, so nothing that appears meanwhile is
 * missed; what is then told twice, or too late, is recognised by its inode. When the
 * kernel's queue overflows everything is compared with what is there.
 *
 * The file has a watch of its own rather than an open descriptor: in cgroupfs a watch
 * on the directory reports a change only while the file's inode is in memory, which
 * either of them ensures, but descriptors are limited for the whole process.
 */
import { fstatSync, lstatSync, readdirSync } from "node:fs";
import {
  type ByteString,
  bytesOfLatin1,
  IN_CREATE,
  IN_DELETE,
  IN_IGNORED,
  IN_ISDIR,
  IN_MODIFY,
  IN_MOVED_FROM,
  IN_MOVED_TO,
  IN_ONLYDIR,
  IN_Q_OVERFLOW,
  type Inotify,
  type InotifyEvent,
  isErrno,
  joinPath,
} from "@cm4all/linux";
import type { OpenRoot } from "./open-root.ts";

const DIRECTORY_EVENTS = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR;

/**
 * The link count of a directory without directories in it; each adds one. File systems
 * that do not count give 1 for all.
 */
const LINKS_OF_EMPTY = 2;

/** How a directory came to be known: at the start, from an event, or by a comparison. */
export type Origin = "start" | "event" | "comparison";

const ROOT_PATH = bytesOfLatin1("");

/** A directory that is there, as far as known. */
export class TreeNode<Place> {
  readonly parent: TreeNode<Place> | undefined;
  readonly name: ByteString;
  readonly place: Place;
  readonly inode: bigint;
  readonly children = new Map<ByteString, TreeNode<Place>>();
  directoryWd: number | undefined;
  fileWd: number | undefined;

  constructor(parent: TreeNode<Place> | undefined, name: ByteString, place: Place, inode: bigint) {
    this.parent = parent;
    this.name = name;
    this.place = place;
    this.inode = inode;
  }

  /** Below the root; empty for the root itself. */
  get path(): ByteString {
    return this.parent === undefined ? ROOT_PATH : joinPath(this.parent.path, this.name);
  }
}

/** Which directories are watched. */
export interface TreeRules<Place> {
  readonly rootPlace: Place;
  /** What a directory's child is; undefined where it does not matter. */
  enter(place: Place, name: ByteString): Place | undefined;
  /** The file to be watched in a directory. */
  file(place: Place): string | undefined;
}

/** Who is told. */
export interface TreeListener<Place> {
  /** A directory was found; those below it follow. */
  added(node: TreeNode<Place>, origin: Origin): void;
  /** All directories below it that were there have been added. */
  scanned(node: TreeNode<Place>, origin: Origin): void;
  /** The file in it has changed, or after a comparison: may have. */
  touched(node: TreeNode<Place>, origin: Origin): void;
  /** It is gone; those below it were told before. */
  removed(node: TreeNode<Place>): void;
  /** Something cannot be watched. @param error the kernel's refusal */
  unwatchable(path: ByteString, error: unknown): void;
}

/** Something that the comparison found and no event had told. */
export interface Difference<Place> {
  readonly kind: "appeared" | "gone";
  /** For `appeared` the directory that it appeared in. */
  readonly node: TreeNode<Place>;
  readonly name: ByteString;
}

export class TreeWatch<Place> {
  readonly #root: OpenRoot;
  readonly #rules: TreeRules<Place>;
  readonly #listener: TreeListener<Place>;
  readonly #directories = new Map<number, TreeNode<Place>>();
  readonly #files = new Map<number, TreeNode<Place>>();
  /** Nodes that lack a watch because the kernel refused it. */
  readonly #unwatched = new Set<TreeNode<Place>>();
  #inotify: Inotify | undefined;
  #rootNode: TreeNode<Place> | undefined;
  /** How often the kernel lost events. */
  overflows = 0;

  constructor(root: OpenRoot, rules: TreeRules<Place>, listener: TreeListener<Place>) {
    this.#root = root;
    this.#rules = rules;
    this.#listener = listener;
  }

  /** From now on watches what is added, and closes `inotify` in the end. */
  useInotify(inotify: Inotify): void {
    this.#inotify = inotify;
  }

  get watches(): number {
    return this.#directories.size + this.#files.size;
  }

  get unwatched(): number {
    return this.#unwatched.size;
  }

  /** Adds what is there. @throws Error where the root cannot be read */
  start(): void {
    const { fd } = this.#root;
    const { ino } = fstatSync(fd, { bigint: true });
    const node = new TreeNode<Place>(undefined, ROOT_PATH, this.#rules.rootPlace, ino);
    this.#rootNode = node;
    this.#watch(node, fd);
    for (const name of this.#list(node, fd)) this.#appeared(node, name, "start");
  }

  /**
   * Handles what the kernel has queued, one buffer of it, so that the caller's other
   * work gets its turn.
   * @returns whether there may be more
   */
  handleEvents(): boolean {
    const events = this.#inotify?.read() ?? [];
    if (events.length > 0) this.#handleBatch(events);
    return this.#inotify?.hasMore === true;
  }

  #handleBatch(events: readonly InotifyEvent[]): void {
    const touched = new Set<TreeNode<Place>>();
    let overflow = false;
    for (const { wd, mask, name } of events) {
      if ((mask & IN_Q_OVERFLOW) !== 0) overflow = true;
      else if ((mask & IN_IGNORED) !== 0) this.#watchEnded(wd);
      else {
        const file = this.#files.get(wd);
        if (file !== undefined) touched.add(file);
        const directory = this.#directories.get(wd);
        if (directory === undefined || (mask & IN_ISDIR) === 0) continue;
        if ((mask & (IN_CREATE | IN_MOVED_TO)) !== 0) this.#appeared(directory, name, "event");
        if ((mask & (IN_DELETE | IN_MOVED_FROM)) !== 0) this.#disappeared(directory, name);
      }
    }
    for (const node of touched)
      if (this.#files.has(node.fileWd ?? -1)) this.#listener.touched(node, "event");
    if (overflow) this.#recover();
  }

  /** After an overflow: what is still queued is older than what the comparison finds. */
  #recover(): void {
    this.overflows++;
    this.apply(this.compare());
    for (const node of [...this.#files.values()]) this.#listener.touched(node, "comparison");
  }

  /** The kernel ended a watch: the directory is gone, though its name may be back already. */
  #watchEnded(wd: number): void {
    const node = this.#directories.get(wd) ?? this.#files.get(wd);
    if (node?.parent === undefined) return;
    const { parent, name } = node;
    this.#drop(node);
    this.#appeared(parent, name, "event");
  }

  #appeared(parent: TreeNode<Place>, name: ByteString, origin: Origin): void {
    const place = this.#rules.enter(parent.place, name);
    if (place === undefined) return;
    const known = parent.children.get(name);
    if (known !== undefined) {
      if (this.#isThere(known)) return;
      this.#drop(known);
    }
    const opened = this.#tryOpen(parent, name, place);
    if (opened === undefined) return;
    const { node, names } = opened;
    this.#listener.added(node, origin);
    for (const child of names) this.#appeared(node, child, origin);
    this.#listener.scanned(node, origin);
  }

  /** Watches and lists a directory; undefined if it is gone again or cannot be opened. */
  #tryOpen(parent: TreeNode<Place>, name: ByteString, place: Place) {
    const path = joinPath(parent.path, name);
    try {
      return this.#root.withDirectory(path, (fd) => {
        const { ino, dev } = fstatSync(fd, { bigint: true });
        // Another file system is mounted there.
        if (dev !== this.#root.device) return undefined;
        const node = new TreeNode(parent, name, place, ino);
        parent.children.set(name, node);
        this.#watch(node, fd);
        return { node, names: this.#list(node, fd) };
      });
    } catch (error) {
      if (!isErrno(error, "ENOENT", "ENODEV")) this.#listener.unwatchable(path, error);
      return undefined;
    }
  }

  #disappeared(parent: TreeNode<Place>, name: ByteString): void {
    const node = parent.children.get(name);
    // The event may be about an earlier directory of that name.
    if (node !== undefined && !this.#isThere(node)) this.#drop(node);
  }

  /** Whether the directory that `node` stands for still has its name. */
  #isThere(node: TreeNode<Place>): boolean {
    return this.#tryStat(node)?.ino === node.inode;
  }

  #tryStat(node: TreeNode<Place>) {
    return this.#root.at(node.path, (name) =>
      lstatSync(name, { bigint: true, throwIfNoEntry: false }),
    );
  }

  #watch(node: TreeNode<Place>, fd: number): void {
    if (this.#inotify === undefined) {
      this.#unwatched.add(node);
      return;
    }
    const directory = `/proc/self/fd/${fd}`;
    const file = this.#rules.file(node.place);
    try {
      if (node.directoryWd === undefined) {
        node.directoryWd = this.#inotify.watch(directory, DIRECTORY_EVENTS);
        this.#directories.set(node.directoryWd, node);
      }
      if (file !== undefined && node.fileWd === undefined) {
        node.fileWd = this.#inotify.watch(`${directory}/${file}`, IN_MODIFY);
        this.#files.set(node.fileWd, node);
      }
      this.#unwatched.delete(node);
    } catch (error) {
      // The directory was removed meanwhile, which its parent's watch tells.
      if (isErrno(error, "ENOENT", "ENODEV")) return;
      this.#unwatched.add(node);
      this.#listener.unwatchable(node.path, error);
    }
  }

  /** The names of the directories in an open directory. */
  #list(node: TreeNode<Place>, fd: number): ByteString[] {
    if (fstatSync(fd).nlink === LINKS_OF_EMPTY) return [];
    try {
      return readdirSync(`/proc/self/fd/${fd}`, { withFileTypes: true, encoding: "latin1" })
        .filter((entry) => entry.isDirectory())
        .map(({ name }) => bytesOfLatin1(name));
    } catch (error) {
      if (!isErrno(error, "ENOENT", "ENODEV")) this.#listener.unwatchable(node.path, error);
      return [];
    }
  }

  #drop(node: TreeNode<Place>): void {
    for (const child of [...node.children.values()]) this.#drop(child);
    this.forget(node);
    this.#listener.removed(node);
  }

  /** Ends its watches. For a directory that the caller removed: the listener is not told. */
  forget(node: TreeNode<Place>): void {
    this.#unwatch(this.#directories, node.directoryWd);
    this.#unwatch(this.#files, node.fileWd);
    this.#unwatched.delete(node);
    node.parent?.children.delete(node.name);
  }

  /** cgroupfs keeps a watch, and the inode with it, when the file is gone. */
  #unwatch(nodes: Map<number, TreeNode<Place>>, wd: number | undefined): void {
    if (wd !== undefined && nodes.delete(wd)) this.#inotify?.unwatch(wd);
  }

  /** Tries again to get the watches that the kernel refused, until it refuses one. */
  retryWatches(): void {
    for (const node of [...this.#unwatched]) {
      try {
        this.#root.withDirectory(node.path, (fd) => this.#watch(node, fd));
      } catch (error) {
        if (!isErrno(error, "ENOENT", "ENODEV")) this.#listener.unwatchable(node.path, error);
      }
      if (this.#unwatched.has(node)) return;
    }
  }

  /** Looks at every directory and tells what no event has told so far. */
  compare(): Difference<Place>[] {
    const differences: Difference<Place>[] = [];
    if (this.#rootNode !== undefined)
      this.#compareBelow(this.#rootNode, fstatSync(this.#root.fd).nlink, differences);
    return differences;
  }

  #compareBelow(node: TreeNode<Place>, links: number, differences: Difference<Place>[]): void {
    let present = 0;
    for (const child of node.children.values()) {
      const stat = this.#tryStat(child);
      if (stat !== undefined) present++;
      if (stat?.ino === child.inode) {
        this.#compareBelow(child, Number(stat.nlink), differences);
        continue;
      }
      differences.push({ kind: "gone", node: child, name: child.name });
      if (stat !== undefined) differences.push({ kind: "appeared", node, name: child.name });
    }
    if (links !== present + LINKS_OF_EMPTY) this.#compareList(node, differences);
  }

  #compareList(node: TreeNode<Place>, differences: Difference<Place>[]): void {
    try {
      for (const name of this.#root.withDirectory(node.path, (fd) => this.#list(node, fd))) {
        if (node.children.has(name)) continue;
        if (this.#rules.enter(node.place, name) === undefined) continue;
        differences.push({ kind: "appeared", node, name });
      }
    } catch (error) {
      if (!isErrno(error, "ENOENT", "ENODEV")) this.#listener.unwatchable(node.path, error);
    }
  }

  /** Brings the tree up to date with what a comparison found. */
  apply(differences: readonly Difference<Place>[]): void {
    for (const { kind, node, name } of differences) {
      if (kind === "appeared") this.#appeared(node, name, "comparison");
      else if (node.parent !== undefined) this.#disappeared(node.parent, name);
    }
  }

  close(): void {
    this.#inotify?.close();
  }
}
