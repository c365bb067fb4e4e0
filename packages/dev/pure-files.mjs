// @ts-check
/**
 * Finds the source files that do no I/O: nothing in them or in their imports asks the system, a
 * clock or a random number generator. Imports of types do not count. A name that is imported from
 * the entry file of a package counts as imported from the file that defines it.
 *
 * `npm run lint` compares these files with the layers of docs/design.md whose names end with
 * ", pure".
 */
import { readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { packageEntries, parseLayers, sourceFiles } from "./layers.mjs";
import { isProgram } from "./program.mjs";
import { childrenOf, parse } from "./syntax.mjs";

/** Modules of Node that only calculate. */
const PURE_MODULES = new Set(["node:assert", "node:buffer", "node:path", "node:util", "node:zlib"]);
/** The constants of other modules of Node, and of its global `process`. */
const CONSTANTS = new Set(["arch", "constants", "endianness", "platform", "versions"]);
/** Dependencies that access the system. */
const IMPURE_DEPENDENCIES = /^(ffi-rs|pg|pg-.*)$/;
const IMPURE_GLOBALS = new Set([
  "Atomics",
  "console",
  "crypto",
  "fetch",
  "performance",
  "process",
  "setImmediate",
  "setInterval",
  "setTimeout",
]);

/**
 * The source of a name: a file of ours, or a module.
 * @typedef {{ readonly from: string, readonly name: string }} Source
 * @typedef {{ readonly imports: Source[], readonly exports: ReadonlyMap<string, Source>, readonly stars: string[], readonly asks: boolean }} Facts
 * @typedef {import("./syntax.mjs").Node} Node
 */

/** Returns the pure source files of a checkout, sorted. @param {string} root */
export function pureFiles(root) {
  const entries = packageEntries(root);
  /** @type {Map<string, Facts>} */
  const known = new Map();
  /** @param {string} file */
  const factsOf = (file) => {
    const facts = known.get(file) ?? readFacts(root, file, entries);
    known.set(file, facts);
    return facts;
  };
  /**
   * Returns the file or module that defines a name; the entry file of a package only passes the
   * name on.
   * @param {Source} source @returns {Source}
   */
  const origin = (source) => {
    if (!source.from.endsWith(".ts")) return source;
    const { exports, stars } = factsOf(source.from);
    const next = exports.get(source.name);
    if (next !== undefined) return origin(next);
    for (const star of stars) {
      const found = origin({ from: star, name: source.name });
      if (defines(found)) return found;
    }
    return source;
  };
  /** @param {Source} source */
  const defines = ({ from, name }) => {
    if (!from.endsWith(".ts")) return false;
    return new RegExp(
      `^export (?:async )?(?:abstract )?(?:const|let|function\\*?|class|enum) ${name}\\b`,
      "m",
    ).test(readFileSync(join(root, from), "utf8"));
  };
  /** @param {string} file @param {Set<string>} seen @returns {boolean} */
  const isPure = (file, seen = new Set()) => {
    if (seen.has(file)) return true;
    seen.add(file);
    const { imports, exports, stars, asks } = factsOf(file);
    if (asks) return false;
    return [...imports, ...exports.values(), ...stars.map((from) => ({ from, name: "*" }))]
      .map(origin)
      .every(({ from, name }) =>
        from.endsWith(".ts") ? isPure(from, seen) : isPureModule(from, name),
      );
  };
  return sourceFiles(root).filter((file) => isPure(file));
}

/** @param {string} from @param {string} name the imported name */
function isPureModule(from, name) {
  if (!from.startsWith("node:")) return !IMPURE_DEPENDENCIES.test(from);
  return PURE_MODULES.has(from) || CONSTANTS.has(name);
}

/**
 * @param {string} root @param {string} file @param {ReadonlyMap<string, string>} entries
 * @returns {Facts}
 */
function readFacts(root, file, entries) {
  const { program } = parse(file, readFileSync(join(root, file), "utf8"));
  /** @type {Source[]} */
  const imports = [];
  /** @type {Map<string, Source>} */
  const exports = new Map();
  /** @type {string[]} */
  const stars = [];
  /** @param {string} specifier */
  const target = (specifier) =>
    specifier.startsWith(".")
      ? relative(root, resolve(root, dirname(file), specifier))
      : (entries.get(specifier) ?? specifier);
  for (const node of /** @type {Node[]} */ (program["body"])) {
    if (node["importKind"] === "type" || node["exportKind"] === "type" || !node["source"]) continue;
    const from = target(node["source"].value);
    if (node.type === "ExportAllDeclaration") stars.push(from);
    for (const specifier of node["specifiers"] ?? []) {
      if (specifier.importKind === "type" || specifier.exportKind === "type") continue;
      if (node.type === "ImportDeclaration")
        imports.push({ from, name: specifier.imported?.name ?? "*" });
      else exports.set(specifier.exported.name, { from, name: specifier.local.name });
    }
    if (node["specifiers"]?.length === 0 && node.type === "ImportDeclaration")
      imports.push({ from, name: "*" });
  }
  return { imports, exports, stars, asks: asksTheSystem(program) };
}

/** Returns whether a program uses a global for something outside itself. @param {Node} node */
function asksTheSystem(node) {
  /** @type {Node[]} */
  const open = [node];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (next.type === "ImportExpression") return true;
    if (next.type === "MemberExpression" && !next["computed"]) {
      const called = `${next["object"].name}.${next["property"].name}`;
      if (called === "Date.now" || called === "Math.random") return true;
      const isConstant = CONSTANTS.has(next["property"].name);
      if (IMPURE_GLOBALS.has(next["object"].name) && !isConstant) return true;
    }
    if (next.type === "CallExpression" && IMPURE_GLOBALS.has(next["callee"].name)) return true;
    const isNow = next.type === "NewExpression" && next["arguments"].length === 0;
    if (isNow && next["callee"].name === "Date") return true;
    if (next.type.startsWith("TS") && next.type !== "TSAsExpression") continue;
    for (const [, child] of childrenOf(next)) open.push(child);
  }
  return false;
}

/** Returns a line for each problem. @param {string} root of the checkout */
export function checkPureLayers(root) {
  const pure = new Set(pureFiles(root));
  const paths = parseLayers(readFileSync(join(root, "docs/design.md"), "utf8"))
    .flat()
    .filter(({ name }) => name.endsWith(", pure"))
    .flatMap((layer) => layer.paths);
  return sourceFiles(root)
    .filter((file) => paths.some((path) => file === path || file.startsWith(`${path}/`)))
    .filter((file) => !pure.has(file))
    .map(
      (file) =>
        `${file}: does I/O, or imports something that does; docs/design.md says that it is pure`,
    );
}

if (isProgram(import.meta.url)) {
  const problems = checkPureLayers(fileURLToPath(new URL("../..", import.meta.url)));
  for (const problem of problems) console.error(problem);
  process.exitCode = problems.length === 0 ? 0 : 1;
}
