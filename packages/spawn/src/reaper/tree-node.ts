/** What a watched tree consists of, which of it matters, and who is told. */
import { type ByteString, bytesOfLatin1, joinPath } from "@cm4all/linux";

/**
 * How a directory came to be known: at the start, from an event, or by a comparison. `late`:
 * by a comparison, while something that was there at the start is not known yet.
 */
export type Origin = "start" | "late" | "event" | "comparison";

const ROOT_PATH = bytesOfLatin1("");

/** A directory that is there, as far as known. */
export class TreeNode<Place> {
  readonly parent: TreeNode<Place> | undefined;
  readonly name: ByteString;
  readonly place: Place;
  readonly inode: number;
  readonly children = new Map<ByteString, TreeNode<Place>>();
  directoryWd: number | undefined;
  fileWd: number | undefined;
  /** Whether it is part of the tree: false once it was dropped. */
  isAttached = true;
  /** Whether the event of its creation has been handled: another one is not about it. */
  wasAnnounced = false;

  constructor(parent: TreeNode<Place> | undefined, name: ByteString, place: Place, inode: number) {
    this.parent = parent;
    this.name = name;
    this.place = place;
    this.inode = inode;
  }

  /** Makes the node of the tree's root. */
  static root<Place>(place: Place, inode: number): TreeNode<Place> {
    return new TreeNode<Place>(undefined, ROOT_PATH, place, inode);
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
  /**
   * The file in it has changed, or after a comparison: may have. Of a directory that is
   * gone, a change that was queued before is told before `removed`.
   */
  touched(node: TreeNode<Place>, origin: Origin): void;
  /** Its extended attributes, mode or owner have changed. */
  attributesChanged(node: TreeNode<Place>): void;
  /** It is gone; those below it were told before. */
  removed(node: TreeNode<Place>): void;
  /** A directory in it was gone again, or replaced, before it could be looked at. */
  missed(parent: TreeNode<Place>): void;
  /** Everything that was there at the start has been told. */
  started(): void;
  /** The process or the kernel lacks what it takes to look at all that is there: see `startAgain`. */
  startRefused(): void;
  /** The kernel lost events; what they would have told is told as a comparison's. */
  overflowed(): void;
  /** Something cannot be watched. @param error the kernel's refusal */
  unwatchable(path: ByteString, error: unknown): void;
}

/** Something that a comparison found and no event had told. */
export interface Difference<Place> {
  readonly kind: "appeared" | "gone";
  /** For `appeared` the directory that it appeared in. */
  readonly node: TreeNode<Place>;
  readonly name: ByteString;
}
