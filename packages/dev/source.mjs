// @ts-check
/** Finds the suite's source files, except those that a build makes. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, lstatSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { root } from "./setup.mjs";

/** Names of directories that contain no source, or whose bytes differ between equal checkouts. */
const NOT_SOURCE = new Set([".git", ".turbo", ".data", "node_modules", "dist", "logs"]);

/**
 * Returns the files that git tracks or would add; without git, all files that a build does not
 * make.
 */
function sourceFiles() {
  const git = ["-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"];
  const { status, stdout } = spawnSync("git", git, { encoding: "utf8", maxBuffer: 1 << 26 });
  const files = status === 0 ? stdout.split("\0").filter((file) => file !== "") : filesBelow("");
  return files.filter((file) => isFile(join(root, file)));
}

/**
 * Returns the files and the symbolic links below a directory, as paths relative to the root.
 * @param {string} directory
 * @returns {string[]}
 */
function filesBelow(directory) {
  return readdirSync(join(root, directory), { withFileTypes: true })
    .filter(({ name }) => !NOT_SOURCE.has(name))
    .flatMap((entry) => {
      const path = join(directory, entry.name);
      return entry.isDirectory() ? filesBelow(path) : [path];
    });
}

/** @param {string} path */
function isFile(path) {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

/** Copies the source. @param {string} target a directory */
export function copySource(target) {
  for (const file of sourceFiles()) {
    mkdirSync(dirname(join(target, file)), { recursive: true });
    cpSync(join(root, file), join(target, file), { verbatimSymlinks: true });
  }
}

/** Returns a hash of the names, modes and contents of the files. */
export function sourceHash() {
  const hash = createHash("sha256");
  for (const file of sourceFiles().sort()) {
    const path = join(root, file);
    hash.update(`${file}\0${lstatSync(path).mode}\0`).update(readFileSync(path));
  }
  return hash.digest("hex");
}
