/** The extended attributes of cgroups and of the directories above them. */
import { limitXattrs, readXattrs, type XattrTable } from "@cm4all/cgroup";
import { errorText, isErrno, statusOf } from "@cm4all/linux";
import type { Complain } from "./cgroup-files.ts";
import type { OpenRoot } from "./open-root.ts";
import type { TreeNode } from "./tree-node.ts";

const NOTHING: XattrTable = [];

/** Keeps what was read of a directory until it is told that it has changed. */
export class XattrCache<Place> {
  readonly #root: OpenRoot;
  readonly #complain: Complain;
  #tables = new WeakMap<TreeNode<Place>, XattrTable>();

  /** @param root stays the caller's */
  constructor(root: OpenRoot, complain: Complain) {
    this.#root = root;
    this.#complain = complain;
  }

  /** Something about a directory has changed. */
  forget(node: TreeNode<Place>): void {
    this.#tables.delete(node);
  }

  /** Changes may have gone unnoticed. */
  clear(): void {
    this.#tables = new WeakMap();
  }

  /**
   * Returns the attributes of a cgroup, of its parent, and so on up to a child of the root,
   * as a record has them.
   */
  of(cgroup: TreeNode<Place>): XattrTable[] {
    const tables: XattrTable[] = [];
    for (let node = cgroup; node.parent !== undefined; node = node.parent)
      tables.push(this.#tables.get(node) ?? this.#open(node));
    return limitXattrs(tables);
  }

  #open(node: TreeNode<Place>): XattrTable {
    try {
      return this.#root.withDirectory(node.path, (fd) => {
        const { inode, mode } = statusOf(fd);
        return inode === node.inode ? this.read(node, fd, mode) : NOTHING;
      });
    } catch (error) {
      if (!isErrno(error, "ENOENT", "ENODEV")) this.#complain("open", errorText(error));
      return NOTHING;
    }
  }

  /** Reads those of an open directory, unless they are known. @param mode as of fstat(2) */
  read(node: TreeNode<Place>, fd: number, mode: number): XattrTable {
    const known = this.#tables.get(node);
    if (known !== undefined) return known;
    try {
      const table = readXattrs(fd, mode);
      // Without a watch nothing would tell of a change.
      if (node.directoryWd !== undefined) this.#tables.set(node, table);
      return table;
    } catch (error) {
      this.#complain("read attributes", `cannot read attributes of a cgroup: ${errorText(error)}`);
      return NOTHING;
    }
  }
}
