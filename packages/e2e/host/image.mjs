// @ts-check
/** Makes the root tree and the disk image, which are kept in a cache directory. */
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const treeScript = fileURLToPath(new URL("tree.sh", import.meta.url));
const foreignScript = fileURLToPath(new URL("foreign.sh", import.meta.url));
const nodeScript = fileURLToPath(new URL("newer-node.sh", import.meta.url));
const diskScript = fileURLToPath(new URL("disk.sh", import.meta.url));

/** The maximum age of an image, in days. It is short, so that images have Debian's updates. */
const MAX_AGE_DAYS = 14;

/** Returns `$E2E_CACHE`, or else a directory below `$XDG_CACHE_HOME` or /var/cache. */
export function cacheDirectory() {
  const { E2E_CACHE, XDG_CACHE_HOME } = process.env;
  if (E2E_CACHE) return E2E_CACHE;
  return join(XDG_CACHE_HOME || "/var/cache", "cm4all-spawn-e2e");
}

/**
 * Makes the root tree, unless there is a recent one.
 * @param {string} suite `trixie` or `bookworm`
 * @param {string} architecture `amd64` or `arm64`
 * @returns the tree's directory
 */
export function rootTree(suite, architecture) {
  const scripts = treeScripts(suite, architecture);
  return cached(`tree-${suite}-${architecture}`, scripts, (path) => [
    ...scripts.slice(0, -1),
    ...[suite, architecture, path],
  ]);
}

/**
 * Returns the scripts that make a root tree; the last one is the one to run.
 * @param {string} suite @param {string} architecture
 */
function treeScripts(suite, architecture) {
  const around = [
    ...(architecture === ours() ? [] : [foreignScript]),
    ...(suite === "bookworm" ? [nodeScript] : []),
  ];
  if (around.length > 1) throw new Error(`no tree of ${suite} for ${architecture}`);
  return [treeScript, ...around];
}

/** Returns Debian's name for this machine's architecture. */
export function ours() {
  return execFileSync("dpkg", ["--print-architecture"], { encoding: "utf8" }).trim();
}

/**
 * Makes the disk image, unless there is a recent one.
 * @param {string} suite @param {string} architecture
 * @param {string} tree made by rootTree
 * @returns a directory with the disk and the kernel
 */
export function diskImage(suite, architecture, tree) {
  const name = `disk-${suite}-${architecture}`;
  const scripts = [...treeScripts(suite, architecture), diskScript];
  return cached(name, scripts, (path) => [tree, path]);
}

/**
 * Makes a tree or an image, unless there is a recent one that the same scripts have made.
 * @param {string} name
 * @param {string[]} scripts all scripts that take part; the last one is the one to run
 * @param {(path: string) => string[]} args
 * @returns its path
 */
export function cached(name, scripts, args) {
  const fortnight = Math.floor(Date.now() / (MAX_AGE_DAYS * 24 * 3600 * 1000));
  const script = scripts[scripts.length - 1] ?? "";
  const texts = scripts.map((path) => readFileSync(path));
  const hash = createHash("sha256").update(texts.join("")).digest("hex").slice(0, 12);
  const path = join(cacheDirectory(), `${name}-${hash}-${fortnight}`);
  if (existsSync(path)) return path;
  console.log(`making ${path}`);
  mkdirSync(cacheDirectory(), { recursive: true });
  const unfinished = `${path}.new`;
  // If another run is already making it, this run waits, and uses the result. All others whose
  // names begin with `name` are out of date, and are deleted.
  const make = '[ -e "$1" ] || { rm -rf "$2"-* && "${@:4}" && mv "$3" "$1"; }';
  const command = [path, join(cacheDirectory(), name), unfinished, script, ...args(unfinished)];
  const { status, error } = spawnSync(
    "flock",
    [join(cacheDirectory(), "lock"), "bash", "-c", make, "bash", ...command],
    { stdio: ["ignore", "inherit", "inherit"] },
  );
  if (error) throw error;
  if (status !== 0) throw new Error(`${script} failed with ${status}`);
  return path;
}
