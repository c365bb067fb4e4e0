// @ts-check
/**
 * `npm run deb`: builds the Debian packages in a copy of the checkout, below a temporary
 * directory, and puts them into packages/deb/dist.
 */
import { spawnSync } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { buildPackages } from "../dev/debian-packages.mjs";
import { fail, installDebianPackages, root, run } from "../dev/setup.mjs";

/** What is neither source nor of the same bytes everywhere. */
const NOT_SOURCE = new Set([".git", ".turbo", ".data", "node_modules", "dist"]);

/** What git knows, or may be told of; without git, all that is not made by a build. */
function sourceFiles() {
  const git = ["-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"];
  const { status, stdout } = spawnSync("git", git, { encoding: "utf8", maxBuffer: 1 << 26 });
  if (status === 0)
    return stdout.split("\0").filter((file) => file !== "" && isFile(join(root, file)));
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .filter((file) => !file.split("/").some((part) => NOT_SOURCE.has(part)));
}

/** @param {string} path */
function isFile(path) {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

/**
 * Builds below `workDirectory`, and gives the paths of the packages there.
 * @param {string} workDirectory an empty directory
 * @returns {string[]}
 */
export function buildBelow(workDirectory) {
  const tree = join(workDirectory, "cm4all-spawn");
  for (const file of sourceFiles()) {
    mkdirSync(dirname(join(tree, file)), { recursive: true });
    cpSync(join(root, file), join(tree, file), { dereference: true });
  }
  // Not asked again whether the build dependencies are there: Node may be, without being
  // Debian's package, and the others have just been installed.
  const { status, error } = spawnSync("dpkg-buildpackage", ["-b", "-uc", "-us", "-d"], {
    cwd: tree,
    stdio: "inherit",
  });
  if (error) throw error;
  if (status !== 0) throw new Error(`dpkg-buildpackage: status ${status}`);
  return readdirSync(workDirectory)
    .filter((name) => name.endsWith(".deb"))
    .map((name) => join(workDirectory, name));
}

function main() {
  installDebianPackages(buildPackages);
  const workDirectory = mkdtempSync(join(tmpdir(), "cm4all-deb-"));
  process.on("exit", () => rmSync(workDirectory, { recursive: true, force: true }));
  const output = join(root, "packages/deb/dist");
  const packages = buildBelow(workDirectory);
  run("lintian", ["--allow-root", "--fail-on", "error,warning", ...packages]);
  rmSync(output, { recursive: true, force: true });
  mkdirSync(output, { recursive: true });
  for (const path of packages) {
    const target = join(output, basename(path));
    cpSync(path, target);
    console.log(`${target}: ${Math.ceil(readFileSync(target).length / 1024)} KiB`);
  }
}

if (import.meta.url === `file://${process.argv[1]}`) {
  try {
    main();
  } catch (error) {
    fail(error instanceof Error ? error.message : String(error));
  }
}
