// @ts-check
/**
 * Checks that every source file keeps to the layers of docs/design.md: imports point down, there
 * are no circular imports, and only one file imports ffi-rs.
 *
 * The section "Layers" of docs/design.md lists the layers. Each block names layers from the highest
 * to the lowest, with their files and directories (`{a,b}` stands for `a` and `b`). Files of one
 * layer may import each other. Every source file below the common directory of a block has to be in
 * one of its layers.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { isProgram } from "./program.mjs";

/** The only file that may import ffi-rs. */
const FFI = "packages/linux/src/libc.ts";

/**
 * @typedef {{ readonly name: string, readonly paths: string[] }} Layer
 * @typedef {{ readonly from: string, readonly to: string, readonly line: number }} Import
 */

/**
 * Reads the layers, block by block.
 * @param {string} text of docs/design.md
 * @returns {Layer[][]}
 */
export function parseLayers(text) {
  const section = /^## Layers$(.*?)^## /ms.exec(text)?.[1];
  if (section === undefined) throw new Error("docs/design.md has no section Layers");
  /** @type {Layer[][]} */
  const blocks = [];
  let isBlock = false;
  for (const line of section.split("\n")) {
    const [, name, paths] = /^ {4}(\S.*?) {2,}(packages\/.*)$/.exec(line) ?? [];
    const [, more] = /^ {8,}(packages\/.*)$/.exec(line) ?? [];
    const block = isBlock ? blocks.at(-1) : undefined;
    const last = block?.at(-1);
    if (name !== undefined && paths !== undefined) {
      const layer = { name, paths: expandBraces(paths) };
      if (block === undefined) blocks.push([layer]);
      else block.push(layer);
      isBlock = true;
    } else if (more !== undefined && last !== undefined) last.paths.push(...expandBraces(more));
    else isBlock = false;
  }
  return blocks;
}

/** @param {string} text paths separated by spaces, each with at most one `{a,b}` */
function expandBraces(text) {
  return text.split(/\s+/).flatMap((path) => {
    const [, before, choices, after] = /^([^{]*)\{([^}]*)\}(.*)$/.exec(path) ?? [];
    return choices === undefined
      ? [path]
      : choices.split(",").map((choice) => `${before}${choice}${after}`);
  });
}

/** Returns the files to which the layers apply: sources other than tests. @param {string} root */
export function sourceFiles(root) {
  const packages = join(root, "packages");
  return readdirSync(packages, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name }) => {
      try {
        return readdirSync(join(packages, name, "src"), { recursive: true, encoding: "utf8" })
          .filter((file) => file.endsWith(".ts") && !/\.(test|d)\.ts$/.test(file))
          .map((file) => `packages/${name}/src/${file}`);
      } catch (error) {
        if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
        throw error;
      }
    })
    .sort();
}

/**
 * Returns the entry files of all packages, by the names with which they are imported.
 * @param {string} root
 */
export function packageEntries(root) {
  /** @type {Map<string, string>} */
  const entries = new Map();
  for (const name of readdirSync(join(root, "packages"))) {
    /** @type {{ name: string, exports?: Record<string, unknown> }} */
    let manifest;
    try {
      manifest = JSON.parse(readFileSync(join(root, "packages", name, "package.json"), "utf8"));
    } catch {
      continue;
    }
    for (const [path, target] of Object.entries(manifest.exports ?? {})) {
      const file = firstSource(target);
      if (file !== undefined) entries.set(join(manifest.name, path), join("packages", name, file));
    }
  }
  return entries;
}

/**
 * Returns the source file among the targets of an entry of `exports` in package.json.
 * @param {unknown} target
 * @returns {string | undefined}
 */
function firstSource(target) {
  if (typeof target === "string") return target.endsWith(".ts") ? target : undefined;
  if (typeof target !== "object" || target === null) return undefined;
  return Object.values(target)
    .map(firstSource)
    .find((file) => file !== undefined);
}

/**
 * Returns the imports of a file, including those of types.
 * @param {string} root @param {string} file @param {ReadonlyMap<string, string>} entries
 * @returns {Import[]}
 */
function importsOf(root, file, entries) {
  const text = readFileSync(join(root, file), "utf8");
  const pattern =
    /^(?:import|export|\}) [^;]*?from "([^"]+)"|^import "([^"]+)"|\bimport\("([^"]+)"\)/gm;
  return [...text.matchAll(pattern)].map((match) => {
    const specifier = match[1] ?? match[2] ?? match[3] ?? "";
    const to = specifier.startsWith(".")
      ? relative(root, resolve(root, dirname(file), specifier))
      : (entries.get(specifier) ?? specifier);
    const line = text.slice(0, match.index + match[0].length).split("\n").length;
    return { from: file, to, line };
  });
}

/**
 * Returns the index of a file's layer, or -1 if it is in none. If paths of several layers match,
 * the longest path counts.
 * @param {readonly Layer[]} block @param {string} file
 */
function layerIndex(block, file) {
  let best = { index: -1, length: -1 };
  for (const [index, { paths }] of block.entries())
    for (const path of paths)
      if (path.length > best.length && (file === path || file.startsWith(`${path}/`)))
        best = { index, length: path.length };
  return best.index;
}

/** Returns the common directory of a block's paths. @param {readonly Layer[]} block */
function directoryOf(block) {
  const paths = block.flatMap(({ paths }) => paths.map((path) => path.split("/")));
  const [first = []] = paths;
  const length = first.findIndex((part, i) => paths.some((path) => path[i] !== part));
  return first.slice(0, length < 0 ? first.length : length).join("/");
}

/**
 * @param {readonly Layer[]} block
 * @param {readonly string[]} files
 * @param {readonly Import[]} imports
 */
function checkBlock(block, files, imports) {
  const problems = [];
  const directory = directoryOf(block);
  for (const file of files)
    if (file.startsWith(`${directory}/`) && layerIndex(block, file) < 0)
      problems.push(`${file}: is in no layer of docs/design.md`);
  for (const { from, to, line } of imports) {
    const [upper, lower] = [layerIndex(block, from), layerIndex(block, to)];
    if (upper >= 0 && lower >= 0 && lower < upper)
      problems.push(
        `${from}:${line}: imports ${to}, which is above it: ${block[upper]?.name} knows nothing of ${block[lower]?.name}`,
      );
  }
  return problems;
}

/**
 * Returns the circular imports, each once.
 * @param {readonly string[]} files
 * @param {readonly Import[]} imports
 */
function findCircles(files, imports) {
  /** @type {Map<string, string[]>} */
  const targets = new Map(files.map((file) => [file, []]));
  for (const { from, to } of imports) if (targets.has(to)) targets.get(from)?.push(to);
  /** @type {Set<string>} */
  const done = new Set();
  /** @type {string[]} */
  const circles = [];
  /** @param {string} file @param {string[]} path */
  const visit = (file, path) => {
    const start = path.indexOf(file);
    if (start >= 0) {
      circles.push([...path.slice(start), file].join(" -> "));
      return;
    }
    if (done.has(file)) return;
    for (const target of targets.get(file) ?? []) visit(target, [...path, file]);
    done.add(file);
  };
  for (const file of files) visit(file, []);
  return circles.map((circle) => `imports in a circle: ${circle}`);
}

/** Returns a line for each problem. @param {string} root of the checkout */
export function checkLayers(root) {
  const files = sourceFiles(root);
  const entries = packageEntries(root);
  const imports = files.flatMap((file) => importsOf(root, file, entries));
  const blocks = parseLayers(readFileSync(join(root, "docs/design.md"), "utf8"));
  return [
    ...blocks.flatMap((block) => checkBlock(block, files, imports)),
    ...findCircles(files, imports),
    ...imports
      .filter(({ from, to }) => to === "ffi-rs" && from !== FFI)
      .map(({ from, line }) => `${from}:${line}: only ${FFI} imports ffi-rs`),
  ];
}

if (isProgram(import.meta.url)) {
  const problems = checkLayers(fileURLToPath(new URL("../..", import.meta.url)));
  for (const problem of problems) console.error(problem);
  process.exitCode = problems.length === 0 ? 0 : 1;
}
