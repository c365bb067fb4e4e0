/** Caches the extended attributes of cgroups and of the directories above them. */
import { limitXattrs, readXattrs, tableSize, type XattrTable } from "@cm4all/cgroup";
import { errorText, isErrno, isShortage, statusOf } from "@cm4all/linux";
import type { Complain } from "./cgroup-files.ts";
import type { OpenRoot } from "./open-root.ts";
import type { TreeNode } from "./tree-node.ts";

const NOTHING: XattrTable = [];

/** A table with more bytes counts as large. Ordinary attributes are far smaller. */
const LARGE_BYTES = 1024;

/** The limit for all large tables together. */
const MAX_LARGE_BYTES = 4 * 1024 * 1024;

/**
 * Keeps the attributes of a directory until they change. Of large tables, only the most recently
 * used are kept: customers may give a hundred kilobytes of attributes to each of thousands of
 * cgroups.
 */
export class XattrCache<Place> {
  readonly #root: OpenRoot;
  readonly #complain: Complain;
  #small = new WeakMap<TreeNode<Place>, XattrTable>();
  /** The large tables, the most recently used last. */
  readonly #large = new Map<TreeNode<Place>, XattrTable>();
  #largeBytes = 0;

  /** @param root the open root, which the caller closes */
  constructor(root: OpenRoot, complain: Complain) {
    this.#root = root;
    this.#complain = complain;
  }

  /** Forgets the attributes of a directory that has changed. */
  forget(node: TreeNode<Place>): void {
    this.#small.delete(node);
    const large = this.#large.get(node);
    if (large === undefined) return;
    this.#large.delete(node);
    this.#largeBytes -= tableSize(large);
  }

  /** Forgets everything, because changes may have gone unnoticed. */
  clear(): void {
    this.#small = new WeakMap();
    this.#large.clear();
    this.#largeBytes = 0;
  }

  #get(node: TreeNode<Place>): XattrTable | undefined {
    const small = this.#small.get(node);
    if (small !== undefined) return small;
    const large = this.#large.get(node);
    if (large === undefined) return undefined;
    this.#large.delete(node);
    this.#large.set(node, large);
    return large;
  }

  #keep(node: TreeNode<Place>, table: XattrTable): void {
    // Without a watch, no event would report a change.
    if (node.directoryWd === undefined) return;
    const bytes = tableSize(table);
    if (bytes <= LARGE_BYTES) {
      this.#small.set(node, table);
      return;
    }
    this.#large.set(node, table);
    this.#largeBytes += bytes;
    for (const [oldest] of this.#large) {
      if (this.#largeBytes <= MAX_LARGE_BYTES) return;
      this.forget(oldest);
    }
  }

  /**
   * Returns the attributes of a cgroup, of its parent, and so on up to a child of the root: a
   * table for each, within the limits of a record (see limitXattrs).
   */
  of(cgroup: TreeNode<Place>): XattrTable[] {
    const tables: XattrTable[] = [];
    for (let node = cgroup; node.parent !== undefined; node = node.parent)
      tables.push(this.#get(node) ?? this.#openLater(node));
    return limitXattrs(tables);
  }

  /** Reads attributes that are not in the cache; only logs a shortage of descriptors or memory. */
  #openLater(node: TreeNode<Place>): XattrTable {
    try {
      return this.#open(node);
    } catch (error) {
      this.#complain("open", errorText(error));
      return NOTHING;
    }
  }

  /**
   * Reads the attributes of an open directory and of the directories above it, except the root and
   * those whose attributes are in the cache.
   * @param mode as from fstat(2)
   * @throws system errors if descriptors or memory run short
   */
  load(cgroup: TreeNode<Place>, fd: number, mode: number): void {
    this.#read(cgroup, fd, mode);
    for (let node = cgroup.parent; node?.parent !== undefined; node = node.parent)
      if (this.#get(node) === undefined) this.#open(node);
  }

  /** Opens a directory and reads its attributes. @throws as `load` does */
  #open(node: TreeNode<Place>): XattrTable {
    try {
      return this.#root.withDirectory(node.path, (fd) => {
        const { inode, mode } = statusOf(fd);
        return inode === node.inode ? this.#read(node, fd, mode) : NOTHING;
      });
    } catch (error) {
      if (isShortage(error)) throw error;
      if (!isErrno(error, "ENOENT", "ENODEV")) this.#complain("open", errorText(error));
      return NOTHING;
    }
  }

  #read(node: TreeNode<Place>, fd: number, mode: number): XattrTable {
    const known = this.#get(node);
    if (known !== undefined) return known;
    try {
      const table = readXattrs(fd, mode);
      this.#keep(node, table);
      return table;
    } catch (error) {
      if (isShortage(error)) throw error;
      this.#complain("read attributes", `cannot read attributes of a cgroup: ${errorText(error)}`);
      return NOTHING;
    }
  }
}
