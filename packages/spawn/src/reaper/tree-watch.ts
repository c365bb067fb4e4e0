/**
 * Watches the directories below a root, and one file in each if wanted. This file does not depend
 * on cgroups: `TreeRules` decide which directories matter.
 *
 * A directory is watched before it is listed, so that nothing that appears in the meantime is
 * missed. Inode numbers then show which events are redundant or out of date. If the kernel's queue
 * overflows, everything is compared with the directories that exist.
 *
 * The file in each directory has a watch of its own, and no open descriptor. In cgroupfs, a watch
 * on the directory reports a change of the file only while the file's inode is in memory. Either a
 * watch or a descriptor of the file keeps the inode there, but the number of descriptors is limited
 * for the whole process.
 *
 * All work is done in steps, one for each directory or event, so that thousands of them do not
 * keep the caller from its other work. Only changes of attributes are reported as soon as their
 * events are read, because cached attributes may be used before the next step.
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
import { EventBacklog } from "./event-backlog.ts";
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
  /** Nodes without a watch, because the kernel refused it. */
  readonly #unwatched = new Set<TreeNode<Place>>();
  /** Nodes whose file has changed, according to the events read so far. */
  readonly #touched = new Set<TreeNode<Place>>();
  #inotify: Inotify | undefined;
  #backlog: EventBacklog | undefined;
  /** The work that is under way, one step at a time. */
  #work: Generator<void, void> | undefined;
  /** True once everything that existed at startup has been reported. */
  #isStarted = false;
  /** True if a shortage has kept a directory from being looked at since the latest start began. */
  #isShort = false;
  #mustStartAgain = false;
  /** The number of times that the kernel has lost events. */
  overflows = 0;

  /**
   * Makes the watch, which begins with the first step.
   * @param root the open root, which the caller closes
   */
  constructor(root: OpenRoot, rules: TreeRules<Place>, listener: TreeListener<Place>) {
    this.#root = root;
    this.#rules = rules;
    this.#listener = listener;
    const unwatchable = (path: ByteString, error: unknown) => this.#cannotLook(path, error);
    this.#look = new TreeDirectories(root, rules, { ...listener, unwatchable });
    this.#rootNode = TreeNode.root(rules.rootPlace, statusOf(root.fd).inode);
    this.#work = this.#start();
  }

  /** Watches everything that is added from now on. Ownership of `inotify` passes to this object. */
  useInotify(inotify: Inotify): void {
    this.#inotify = inotify;
    this.#backlog = new EventBacklog(inotify, (event) => this.#handledAtOnce(event));
  }

  get watches(): number {
    return this.#directories.size + this.#files.size;
  }

  get unwatched(): number {
    return this.#unwatched.size;
  }

  /** Returns whether work is under way, or events that were noted have not been handled yet. */
  get isBusy(): boolean {
    return this.#work !== undefined || this.#backlog?.isEmpty === false;
  }

  /** Notes that the kernel has queued events. */
  noteEvents(): void {
    this.#backlog?.noteEvents();
  }

  /** Does one step of the work. @returns false if there was nothing to do */
  step(): boolean {
    if (this.#work === undefined) this.#work = this.#nextBatch();
    if (this.#work === undefined && this.#mustStartAgain) this.#work = this.#startAgain();
    if (this.#work === undefined) return false;
    if (this.#work.next().done === true) this.#work = undefined;
    return true;
  }

  /** Adds everything that exists. */
  *#start(): Generator<void, void> {
    const { fd } = this.#root;
    this.#watch(this.#rootNode, fd);
    for (const name of this.#look.list(this.#rootNode, fd))
      yield* this.#appeared(this.#rootNode, name, "start");
    this.#endStart();
  }

  /**
   * Plans to look again, after `startRefused`, for what is not known yet. The next steps do this,
   * and then call `started`, or `startRefused` once more.
   */
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

  /** Reports a failure. Only the end of a shortage is worth waiting for; other refusals last. */
  #cannotLook(path: ByteString, error: unknown): void {
    this.#isShort ||= isErrno(error, "EMFILE", "ENFILE", "ENOMEM");
    this.#listener.unwatchable(path, error);
  }

  /**
   * Reads the events that are queued now, to report immediately which attributes have changed. The
   * other events are handled in later steps.
   * @returns false if too many events wait to be handled: attributes may then have changed
   *   without a report
   */
  tryReadAhead(): boolean {
    return this.#backlog?.tryReadAhead() ?? true;
  }

  /**
   * Waits for the work that is under way, and until the events that are queued now have been
   * handled. It does not wait for later events, because they may come without end. The work itself
   * is done by `step`.
   */
  *settle(): Generator<void, void> {
    const work = this.#work;
    const isUnderWay = () => work !== undefined && this.#work === work;
    const end = this.#backlog?.end ?? 0;
    const areHandled = () => this.#backlog?.hasHandled(end) ?? true;
    this.noteEvents();
    while (this.isBusy && (isUnderWay() || !areHandled())) yield;
  }

  /**
   * Begins with all events that have been read: several changes of the same file are then handled
   * together.
   */
  #nextBatch(): Generator<void, void> | undefined {
    const events = this.#backlog?.take();
    return events === undefined ? undefined : this.#handle(events);
  }

  /** Is called as soon as an event has been read. Changes of attributes need no more than that. */
  #handledAtOnce(event: InotifyEvent): boolean {
    if ((event.mask & IN_Q_OVERFLOW) !== 0) this.#listener.overflowed();
    if ((event.mask & IN_ATTRIB) === 0) return false;
    this.#attributesChanged(event);
    return true;
  }

  #attributesChanged({ wd, name }: InotifyEvent): void {
    const directory = this.#directories.get(wd);
    // Subdirectories have watches of their own.
    if (directory !== undefined && latin1Of(name) === "")
      this.#listener.attributesChanged(directory);
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
    this.#backlog?.noteHandled();
  }

  *#changed(directory: TreeNode<Place>, { mask, name }: InotifyEvent): Generator<void, void> {
    if ((mask & IN_ISDIR) === 0) return;
    if ((mask & IN_CREATE) !== 0) yield* this.#created(directory, name);
    if ((mask & IN_MOVED_TO) !== 0) yield* this.#appeared(directory, name, "event");
    if ((mask & (IN_DELETE | IN_MOVED_FROM)) !== 0) this.#disappeared(directory, name);
    yield;
  }

  *#created(parent: TreeNode<Place>, name: ByteString): Generator<void, void> {
    if (this.#rules.enter(parent.place, name) === undefined) return;
    yield* this.#appeared(parent, name, "event");
    const node = parent.children.get(name);
    if (node === undefined) {
      if (!this.#look.exists(joinPath(parent.path, name))) this.#listener.missed(parent);
    } else if (node.wasAnnounced) {
      // A directory is created once: this event or the one before was about an earlier directory.
      this.#listener.missed(parent);
    } else node.wasAnnounced = true;
  }

  /**
   * Compares everything after an overflow. Events that are still queued may be older than the
   * result.
   */
  *#recover(): Generator<void, void> {
    this.overflows++;
    yield* this.apply(yield* this.compare());
    for (const node of this.#files.values()) {
      this.#listener.touched(node, "comparison");
      yield;
    }
  }

  /**
   * Drops a directory whose watch the kernel has ended. The directory is gone, although a new one
   * may have the same name.
   */
  *#watchEnded(wd: number): Generator<void, void> {
    const node = this.#directories.get(wd) ?? this.#files.get(wd);
    if (node?.parent === undefined) return;
    const { parent, name } = node;
    this.#drop(node);
    yield* this.#appeared(parent, name, "event");
  }

  /** Adds a directory and everything below it. */
  *#appeared(parent: TreeNode<Place>, name: ByteString, origin: Origin): Generator<void, void> {
    const open: { node: TreeNode<Place>; names: ByteString[] }[] = [];
    const add = (directory: TreeNode<Place>, child: ByteString) => {
      const found = this.#add(directory, child, origin);
      // In reverse order, so that pop() returns the first name.
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

  /** Adds a directory. @returns undefined if it is already known, does not matter or is gone */
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

  /**
   * Watches and lists a directory. Returns undefined if it is gone again, cannot be opened, or has
   * another file system mounted over it.
   */
  #tryOpen(parent: TreeNode<Place>, name: ByteString, place: Place) {
    const path = joinPath(parent.path, name);
    try {
      return this.#root.withDirectory(path, (fd) => {
        const { inode, device } = statusOf(fd);
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
    // The event may be about an earlier directory with this name.
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
      // The directory was removed in the meantime; the watch on its parent reports that.
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

  /** Ends the watches of a directory that the caller has removed. The listener is not called. */
  forget(node: TreeNode<Place>): void {
    this.#unwatch(this.#directories, node.directoryWd);
    this.#unwatch(this.#files, node.fileWd);
    this.#unwatched.delete(node);
    this.#touched.delete(node);
    node.parent?.children.delete(node.name);
    node.isAttached = false;
  }

  /** Ends a watch: cgroupfs would keep it, and the inode with it, even after the file is gone. */
  #unwatch(nodes: Map<number, TreeNode<Place>>, wd: number | undefined): void {
    if (wd !== undefined && nodes.delete(wd)) this.#inotify?.unwatch(wd);
  }

  /** Requests the watches that the kernel had refused, until it refuses one again. */
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

  /**
   * Looks at every directory, one in each step, and returns the differences from what the events
   * have reported so far.
   */
  compare(): Generator<void, Difference<Place>[]> {
    return this.#look.compare(this.#rootNode);
  }

  /** Updates the tree with the differences that a comparison found. */
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
