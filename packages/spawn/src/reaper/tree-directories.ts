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

  /** Returns whether the directory of `node` still exists under its name. */
  isThere(node: TreeNode<Place>): boolean {
    // The root has no name in the tree, and stays open.
    return node.parent === undefined || this.#tryStat(node)?.inode === node.inode;
  }

  /** Returns whether a directory with this path exists, whatever its inode is. */
  exists(path: ByteString): boolean {
    return this.#root.tryStatus(path) !== undefined;
  }

  #tryStat({ path }: TreeNode<Place>): FileStatus | undefined {
    return this.#root.tryStatus(path);
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
   * have reported so far.
   */
  *compare(rootNode: TreeNode<Place>): Generator<void, Difference<Place>[]> {
    const differences: Difference<Place>[] = [];
    const open = [{ node: rootNode, links: statusOf(this.#root.fd).links }];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      const { node, links } = next;
      let present = 0;
      for (const child of node.children.values()) {
        const stat = this.#tryStat(child);
        if (stat !== undefined) present++;
        if (stat?.inode === child.inode) open.push({ node: child, links: stat.links });
        else {
          differences.push({ kind: "gone", node: child, name: child.name });
          if (stat !== undefined) differences.push({ kind: "appeared", node, name: child.name });
        }
        yield;
      }
      if (node.isAttached && links !== present + LINKS_OF_EMPTY)
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
