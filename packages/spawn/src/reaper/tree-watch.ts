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
 *
 * All work is done in steps, a directory or event each, so that thousands of them do not
 * keep the caller from its other work.
 */
import {
  type ByteString,
  IN_ATTRIB,
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
  latin1Of,
  statusOf,
} from "@cm4all/linux";
import type { OpenRoot } from "./open-root.ts";
import { TreeDirectories } from "./tree-directories.ts";
import {
  type Difference,
  type Origin,
  type TreeListener,
  TreeNode,
  type TreeRules,
} from "./tree-node.ts";

const DIRECTORY_EVENTS =
  IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_ONLYDIR;

export class TreeWatch<Place> {
  readonly #root: OpenRoot;
  readonly #rules: TreeRules<Place>;
  readonly #listener: TreeListener<Place>;
  readonly #look: TreeDirectories<Place>;
  readonly #rootNode: TreeNode<Place>;
  readonly #directories = new Map<number, TreeNode<Place>>();
  readonly #files = new Map<number, TreeNode<Place>>();
  /** Nodes that lack a watch because the kernel refused it. */
  readonly #unwatched = new Set<TreeNode<Place>>();
  /** Whose file has changed, as far as the events have been read. */
  readonly #touched = new Set<TreeNode<Place>>();
  #inotify: Inotify | undefined;
  /** What is being done, a step at a time. */
  #work: Generator<void, void> | undefined;
  #hasEvents = false;
  /** Whether all that was there at the start was told. */
  #isStarted = false;
  /** Whether a directory could not be looked at since the latest start was begun. */
  #isShort = false;
  #mustStartAgain = false;
  /** How often the kernel lost events. */
  overflows = 0;

  /** Begins with the first step. @param root stays the caller's */
  constructor(root: OpenRoot, rules: TreeRules<Place>, listener: TreeListener<Place>) {
    this.#root = root;
    this.#rules = rules;
    this.#listener = listener;
    const unwatchable = (path: ByteString, error: unknown) => this.#cannotLook(path, error);
    this.#look = new TreeDirectories(root, rules, { ...listener, unwatchable });
    this.#rootNode = TreeNode.root(rules.rootPlace, statusOf(root.fd).inode);
    this.#work = this.#start();
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

  /** Whether there are events that it was told of and that are not handled. */
  get isBusy(): boolean {
    return this.#work !== undefined || this.#hasEvents;
  }

  /** The kernel has queued events. */
  noteEvents(): void {
    this.#hasEvents = true;
  }

  /** Does a little of what is to be done. @returns false if there was nothing */
  step(): boolean {
    if (this.#work === undefined && this.#hasEvents) this.#work = this.#readEvents();
    if (this.#work === undefined && this.#mustStartAgain) this.#work = this.#startAgain();
    if (this.#work === undefined) return false;
    if (this.#work.next().done === true) this.#work = undefined;
    return true;
  }

  /** Adds what is there. */
  *#start(): Generator<void, void> {
    const { fd } = this.#root;
    this.#watch(this.#rootNode, fd);
    for (const name of this.#look.list(this.#rootNode, fd))
      yield* this.#appeared(this.#rootNode, name, "start");
    this.#endStart();
  }

  /** After `startRefused`: has the next steps look again for what is not known, and tell of the start. */
  startAgain(): void {
    this.#mustStartAgain = true;
  }

  *#startAgain(): Generator<void, void> {
    this.#mustStartAgain = false;
    this.#isShort = false;
    yield* this.apply(yield* this.compare());
    this.#endStart();
  }

  #endStart(): void {
    this.#isStarted = !this.#isShort;
    if (this.#isStarted) this.#listener.started();
    else this.#listener.startRefused();
  }

  /** Only a shortage passes: what is refused for another reason would be waited for in vain. */
  #cannotLook(path: ByteString, error: unknown): void {
    this.#isShort ||= isErrno(error, "EMFILE", "ENFILE", "ENOMEM");
    this.#listener.unwatchable(path, error);
  }

  /** One buffer: what comes meanwhile may be merged by the kernel. */
  #readEvents(): Generator<void, void> | undefined {
    const events = this.#inotify?.read() ?? [];
    // The kernel says again when there is more.
    this.#hasEvents = this.#inotify?.hasMore === true;
    return events.length === 0 ? undefined : this.#handle(events);
  }

  *#handle(events: readonly InotifyEvent[]): Generator<void, void> {
    for (const { wd, mask } of events) {
      const file = (mask & IN_MODIFY) === 0 ? undefined : this.#files.get(wd);
      if (file !== undefined) this.#touched.add(file);
    }
    let overflow = false;
    for (const event of events) {
      if ((event.mask & IN_Q_OVERFLOW) !== 0) overflow = true;
      else if ((event.mask & IN_IGNORED) !== 0) yield* this.#watchEnded(event.wd);
      else {
        const directory = this.#directories.get(event.wd);
        if (directory !== undefined) yield* this.#changed(directory, event);
      }
    }
    for (const node of this.#touched) {
      this.#touched.delete(node);
      this.#listener.touched(node, "event");
      yield;
    }
    if (overflow) yield* this.#recover();
  }

  *#changed(directory: TreeNode<Place>, { mask, name }: InotifyEvent): Generator<void, void> {
    if ((mask & IN_ISDIR) === 0) return;
    if ((mask & IN_CREATE) !== 0) yield* this.#created(directory, name);
    if ((mask & IN_MOVED_TO) !== 0) yield* this.#appeared(directory, name, "event");
    if ((mask & (IN_DELETE | IN_MOVED_FROM)) !== 0) this.#disappeared(directory, name);
    // Of those in it each has a watch of its own.
    if ((mask & IN_ATTRIB) !== 0 && latin1Of(name) === "")
      this.#listener.attributesChanged(directory);
    yield;
  }

  *#created(parent: TreeNode<Place>, name: ByteString): Generator<void, void> {
    if (this.#rules.enter(parent.place, name) === undefined) return;
    yield* this.#appeared(parent, name, "event");
    const node = parent.children.get(name);
    if (node === undefined) {
      if (!this.#look.exists(joinPath(parent.path, name))) this.#listener.missed(parent);
    } else if (node.wasAnnounced) {
      // A directory is created once: one of the two events was about an earlier one.
      this.#listener.missed(parent);
    } else node.wasAnnounced = true;
  }

  /** After an overflow: what is still queued is older than what the comparison finds. */
  *#recover(): Generator<void, void> {
    this.overflows++;
    this.#listener.overflowed();
    yield* this.apply(yield* this.compare());
    for (const node of this.#files.values()) {
      this.#listener.touched(node, "comparison");
      yield;
    }
  }

  /** The kernel ended a watch: the directory is gone, though its name may be back already. */
  *#watchEnded(wd: number): Generator<void, void> {
    const node = this.#directories.get(wd) ?? this.#files.get(wd);
    if (node?.parent === undefined) return;
    const { parent, name } = node;
    this.#drop(node);
    yield* this.#appeared(parent, name, "event");
  }

  /** Adds a directory and all below it. */
  *#appeared(parent: TreeNode<Place>, name: ByteString, origin: Origin): Generator<void, void> {
    const open: { node: TreeNode<Place>; names: ByteString[] }[] = [];
    const add = (directory: TreeNode<Place>, child: ByteString) => {
      const found = this.#add(directory, child, origin);
      // From the end, so that the first is the next.
      if (found !== undefined) open.push({ ...found, names: found.names.reverse() });
    };
    add(parent, name);
    for (let last = open.at(-1); last !== undefined; last = open.at(-1)) {
      const { node, names } = last;
      const child = names.pop();
      if (child !== undefined) add(node, child);
      else {
        open.pop();
        if (node.isAttached) this.#listener.scanned(node, origin);
      }
      yield;
    }
  }

  /** Adds a directory. @returns undefined if it is known, does not matter or is gone */
  #add(parent: TreeNode<Place>, name: ByteString, origin: Origin) {
    const place = this.#rules.enter(parent.place, name);
    if (place === undefined || !parent.isAttached) return undefined;
    const known = parent.children.get(name);
    if (known !== undefined) {
      if (this.#look.isThere(known)) return undefined;
      this.#drop(known);
    }
    const opened = this.#tryOpen(parent, name, place);
    if (opened !== undefined) this.#listener.added(opened.node, origin);
    return opened;
  }

  /** Watches and lists a directory; undefined if it is gone again or cannot be opened. */
  #tryOpen(parent: TreeNode<Place>, name: ByteString, place: Place) {
    const path = joinPath(parent.path, name);
    try {
      return this.#root.withDirectory(path, (fd) => {
        const { inode, device } = statusOf(fd);
        // Another file system is mounted there.
        if (device !== this.#root.device) return undefined;
        const node = new TreeNode(parent, name, place, inode);
        parent.children.set(name, node);
        this.#watch(node, fd);
        return { node, names: this.#look.list(node, fd) };
      });
    } catch (error) {
      if (!isErrno(error, "ENOENT", "ENODEV")) this.#cannotLook(path, error);
      return undefined;
    }
  }

  #disappeared(parent: TreeNode<Place>, name: ByteString): void {
    const node = parent.children.get(name);
    // The event may be about an earlier directory of that name.
    if (node !== undefined && !this.#look.isThere(node)) this.#drop(node);
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

  #drop(node: TreeNode<Place>): void {
    for (const child of [...node.children.values()]) this.#drop(child);
    if (this.#touched.delete(node)) this.#listener.touched(node, "event");
    this.forget(node);
    this.#listener.removed(node);
  }

  /** Ends its watches. For a directory that the caller removed: the listener is not told. */
  forget(node: TreeNode<Place>): void {
    this.#unwatch(this.#directories, node.directoryWd);
    this.#unwatch(this.#files, node.fileWd);
    this.#unwatched.delete(node);
    this.#touched.delete(node);
    node.parent?.children.delete(node.name);
    node.isAttached = false;
  }

  /** cgroupfs keeps a watch, and the inode with it, when the file is gone. */
  #unwatch(nodes: Map<number, TreeNode<Place>>, wd: number | undefined): void {
    if (wd !== undefined && nodes.delete(wd)) this.#inotify?.unwatch(wd);
  }

  /** Tries again to get the watches that the kernel refused, until it refuses one. */
  *retryWatches(): Generator<void, void> {
    for (const node of this.#unwatched) {
      yield;
      if (!this.#look.isThere(node)) continue;
      try {
        this.#root.withDirectory(node.path, (fd) => this.#watch(node, fd));
      } catch (error) {
        if (isErrno(error, "ENOENT", "ENODEV")) continue;
        this.#listener.unwatchable(node.path, error);
      }
      if (this.#unwatched.has(node)) return;
    }
  }

  /** Looks at every directory, one a step, and returns what no event has told so far. */
  compare(): Generator<void, Difference<Place>[]> {
    return this.#look.compare(this.#rootNode);
  }

  /** Brings the tree up to date with what a comparison found. */
  *apply(differences: readonly Difference<Place>[]): Generator<void, void> {
    for (const { kind, node, name } of differences) {
      if (kind === "appeared")
        yield* this.#appeared(node, name, this.#isStarted ? "comparison" : "late");
      else if (node.parent !== undefined) this.#disappeared(node.parent, name);
      yield;
    }
  }

  /** Ends all watches. */
  close(): void {
    this.#inotify?.close();
  }
}
