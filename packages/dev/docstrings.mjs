// @ts-check
/**
 * Checks that every function and class that a source file exports, and every public method of
 * such a class, has a docstring. If a file exports only one class, a docstring at the beginning of
 * the file counts for that class. If a class implements an interface, the interface describes its
 * methods. Constructors, getters, setters, overrides and methods such as `[Symbol.dispose]` need no
 * docstring.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { sourceFiles } from "./layers.mjs";
import { isProgram } from "./program.mjs";
import { lineOf, parse } from "./syntax.mjs";

/** @typedef {import("./syntax.mjs").Node} Node */

/**
 * Returns a line for each item without a docstring.
 * @param {string} file its name, for messages @param {string} text
 */
export function undocumented(file, text) {
  const { program, comments } = parse(file, text);
  const ends = comments.filter(({ value }) => value.startsWith("*")).map(({ end }) => end);
  /** @param {Node} node */
  const isDocumented = (node) =>
    ends.some((end) => end <= node.start && text.slice(end, node.start).trim() === "");
  /** @type {string[]} */
  const problems = [];
  /** @param {Node} node @param {string} name */
  const check = (node, name) => {
    if (!isDocumented(node))
      problems.push(`${file}:${lineOf(text, node.start)}: ${name} has no docstring`);
  };
  const body = /** @type {Node[]} */ (program["body"]);
  const classes = body.filter((node) => node["declaration"]?.type === "ClassDeclaration");
  const isOfOneClass = classes.length === 1 && text.startsWith("/**");
  for (const node of body) {
    if (!/^Export(Named|Default)Declaration$/.test(node.type)) continue;
    const declared = node["declaration"];
    if (declared?.type === "FunctionDeclaration") check(node, declared.id?.name ?? "the default");
    if (declared?.type === "VariableDeclaration")
      for (const { id, init } of declared.declarations)
        if (/^(ArrowFunction|Function)Expression$/.test(init?.type)) check(node, id.name);
    if (declared?.type === "ClassDeclaration") {
      if (!isOfOneClass) check(node, declared.id?.name ?? "the default");
      for (const method of publicMethods(declared))
        check(method, `${declared.id?.name}.${method["key"].name}`);
    }
  }
  return problems;
}

/** @param {Node} declared a class @returns {Node[]} */
function publicMethods(declared) {
  if (declared["implements"]?.length > 0) return [];
  return declared["body"].body.filter(
    (/** @type {Node} */ member) =>
      member.type === "MethodDefinition" &&
      member["kind"] === "method" &&
      member["key"].type === "Identifier" &&
      !member["computed"] &&
      !member["override"] &&
      !/^(private|protected)$/.test(member["accessibility"] ?? ""),
  );
}

/** Returns a line for each problem. @param {string} root of the checkout */
export function checkDocstrings(root) {
  return sourceFiles(root).flatMap((file) =>
    undocumented(file, readFileSync(join(root, file), "utf8")),
  );
}

if (isProgram(import.meta.url)) {
  const problems = checkDocstrings(fileURLToPath(new URL("../..", import.meta.url)));
  for (const problem of problems) console.error(problem);
  process.exitCode = problems.length === 0 ? 0 : 1;
}
