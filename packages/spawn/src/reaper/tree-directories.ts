/** Looks at the directories of a watched tree. */
import { readdirSync } from "node:fs";
import { type ByteString, bytesOfLatin1, type FileStatus, isErrno, statusOf } from "@cm4all/linux";
import type { OpenRoot } from "./open-root.ts";
import type { Difference, TreeListener, TreeNode, TreeRules } from "./tree-node.ts";

/**
 * The link count of a directory without subdirectories; each subdirectory adds 1. File systems
 * that do not count them report 1 for all directories.
 */
const LINKS_OF_EMPTY = 2;

export class TreeDirectories<Place> {
  readonly #root: OpenRoot;
  readonly #rules: TreeRules<Place>;
  readonly #listener: TreeListener<Place>;

  constructor(root: OpenRoot, rules: TreeRules<Place>, listener: TreeListener<Place>) {
    this.#root = root;
    this.#rules = rules;
    this.#listener = listener;
  }

  /**
   * Returns whether the directory of `node` still exists under its name; true if that cannot be
   * found out now. The failure is then reported.
   */
  isThere(node: TreeNode<Place>): boolean {
    // The root has no name in the tree, and stays open.
    if (node.parent === undefined) return true;
    const status = this.#tryStatus(node.path);
    return status === "unknown" || status?.inode === node.inode;
  }

  /**
   * Returns whether a directory with this path exists, whatever its inode is; true if that cannot
   * be found out now. The failure is then reported.
   */
  exists(path: ByteString): boolean {
    return this.#tryStatus(path) !== undefined;
  }

  /**
   * Returns undefined if the directory is gone, and `unknown` if that cannot be found out: looking
   * at a long path takes a descriptor, which may not be available.
   */
  #tryStatus(path: ByteString): FileStatus | "unknown" | undefined {
    try {
      return this.#root.tryStatus(path);
    } catch (error) {
      this.#listener.unwatchable(path, error);
      return "unknown";
    }
  }

  /** Returns the names of the subdirectories of an open directory. */
  list(node: TreeNode<Place>, fd: number): ByteString[] {
    if (statusOf(fd).links === LINKS_OF_EMPTY) return [];
    try {
      return readdirSync(`/proc/self/fd/${fd}`, { withFileTypes: true, encoding: "latin1" })
        .filter((entry) => entry.isDirectory())
        .map(({ name }) => bytesOfLatin1(name));
    } catch (error) {
      if (!isErrno(error, "ENOENT", "ENODEV")) this.#listener.unwatchable(node.path, error);
      return [];
    }
  }

  /**
   * Looks at every directory, one in each step, and returns the differences from what the events
   * have reported so far. What cannot be looked at now counts as unchanged, and is reported.
   */
  *compare(rootNode: TreeNode<Place>): Generator<void, Difference<Place>[]> {
    const differences: Difference<Place>[] = [];
    const { links } = statusOf(this.#root.fd);
    const open: { node: TreeNode<Place>; links: number | undefined }[] = [
      { node: rootNode, links },
    ];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      const { node, links } = next;
      let present = 0;
      for (const child of node.children.values()) {
        const stat = this.#tryStatus(child.path);
        if (stat !== undefined) present++;
        if (stat === "unknown") open.push({ node: child, links: undefined });
        else if (stat?.inode === child.inode) open.push({ node: child, links: stat.links });
        else {
          differences.push({ kind: "gone", node: child, name: child.name });
          if (stat !== undefined) differences.push({ kind: "appeared", node, name: child.name });
        }
        yield;
      }
      if (node.isAttached && links !== undefined && links !== present + LINKS_OF_EMPTY)
        this.#compareList(node, differences);
    }
    return differences;
  }

  #compareList(node: TreeNode<Place>, differences: Difference<Place>[]): void {
    try {
      for (const name of this.#root.withDirectory(node.path, (fd) => this.list(node, fd))) {
        if (node.children.has(name)) continue;
        if (this.#rules.enter(node.place, name) === undefined) continue;
        differences.push({ kind: "appeared", node, name });
      }
    } catch (error) {
      if (!isErrno(error, "ENOENT", "ENODEV")) this.#listener.unwatchable(node.path, error);
    }
  }
}
