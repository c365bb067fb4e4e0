/**
 * The nodes of a watched tree, the rules that say which directories matter, and the listener's
 * interface.
 */
import { type ByteString, bytesOfLatin1, joinPath } from "@cm4all/linux";

/**
 * How a directory became known: at startup, by an event, or by a comparison of the nodes with the
 * directories that exist. `late`: by a comparison, while something that existed at startup is not
 * known yet.
 */
export type Origin = "start" | "late" | "event" | "comparison";

const ROOT_PATH = bytesOfLatin1("");

/** A directory that exists, as far as is known. */
export class TreeNode<Place> {
  readonly parent: TreeNode<Place> | undefined;
  readonly name: ByteString;
  readonly place: Place;
  readonly inode: number;
  readonly children = new Map<ByteString, TreeNode<Place>>();
  directoryWd: number | undefined;
  fileWd: number | undefined;
  /** True while it is part of the tree; false once it has been dropped. */
  isAttached = true;
  /** True if the event of its creation has been handled: another such event is not about it. */
  wasAnnounced = false;

  constructor(parent: TreeNode<Place> | undefined, name: ByteString, place: Place, inode: number) {
    this.parent = parent;
    this.name = name;
    this.place = place;
    this.inode = inode;
  }

  /** Returns a node for the root of the tree. */
  static root<Place>(place: Place, inode: number): TreeNode<Place> {
    return new TreeNode<Place>(undefined, ROOT_PATH, place, inode);
  }

  /** Returns the path below the root; empty for the root itself. */
  get path(): ByteString {
    return this.parent === undefined ? ROOT_PATH : joinPath(this.parent.path, this.name);
  }
}

/** The rules that say which directories and files are watched. */
export interface TreeRules<Place> {
  readonly rootPlace: Place;
  /** Returns the place of a subdirectory; undefined if it does not matter. */
  enter(place: Place, name: ByteString): Place | undefined;
  /** Returns the name of the file to be watched in a directory; undefined for none. */
  file(place: Place): string | undefined;
}

/** Receives the changes of a watched tree. */
export interface TreeListener<Place> {
  /** Called when a directory has been found; those below it follow. */
  added(node: TreeNode<Place>, origin: Origin): void;
  /** Called when all directories that were found below a directory have been added. */
  scanned(node: TreeNode<Place>, origin: Origin): void;
  /**
   * Called when the watched file in a directory has changed, or may have changed according to a
   * comparison. If the directory is gone, a change that had been queued is reported before
   * `removed`.
   */
  touched(node: TreeNode<Place>, origin: Origin): void;
  /**
   * Called when the extended attributes, the mode or the owner of a directory have changed: at the
   * latest before `TreeWatch.tryReadAhead` returns true.
   */
  attributesChanged(node: TreeNode<Place>): void;
  /** Called when a directory is gone, after the calls for those below it. */
  removed(node: TreeNode<Place>): void;
  /**
   * Called if a directory in `parent` was gone again, or replaced, before it could be looked at.
   */
  missed(parent: TreeNode<Place>): void;
  /** Called when everything that existed at startup has been reported. */
  started(): void;
  /**
   * Called if the process or the kernel lacks resources to look at everything: see `startAgain`.
   */
  startRefused(): void;
  /**
   * Called when the kernel has lost events. The changes are later reported as those of a
   * comparison.
   */
  overflowed(): void;
  /**
   * Called if a directory cannot be watched, opened or listed.
   * @param error the error of the system call
   */
  unwatchable(path: ByteString, error: unknown): void;
}

/** A difference that a comparison found and no event has reported. */
export interface Difference<Place> {
  readonly kind: "appeared" | "gone";
  /** For `appeared`, the directory in which the new one is. */
  readonly node: TreeNode<Place>;
  readonly name: ByteString;
}
