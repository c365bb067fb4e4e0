// @ts-check
/**
 * Parses TypeScript for the checks of the sources. The parser is that of Vite, which Vitest needs
 * anyway.
 */
import { parseSync } from "vite";

/**
 * A node of ESTree with the extensions for TypeScript, as the parser returns it.
 * @typedef {{ readonly type: string, readonly start: number, readonly end: number } & Record<string, any>} Node
 * @typedef {{ readonly value: string, readonly start: number, readonly end: number }} Comment
 */

/**
 * Parses a source file.
 * @param {string} file its name, for messages @param {string} text
 * @returns {{ program: Node, comments: readonly Comment[] }}
 * @throws {Error} if it is not valid TypeScript
 */
export function parse(file, text) {
  const { program, comments, errors } = parseSync(file, text, { lang: "ts", sourceType: "module" });
  const [error] = errors;
  if (error !== undefined) throw new Error(`${file}: ${error.message}`);
  return { program: /** @type {Node} */ (/** @type {unknown} */ (program)), comments };
}

/** @param {unknown} value @returns {value is Node} */
const isNode = (value) =>
  typeof value === "object" && value !== null && "type" in value && "start" in value;

/**
 * Returns the nodes directly below another node, each with its key there.
 * @param {Node} node @returns {[key: string, child: Node][]}
 */
export function childrenOf(node) {
  return Object.entries(node).flatMap(([key, value]) =>
    [value]
      .flat()
      .filter(isNode)
      .map((child) => /** @type {[string, Node]} */ ([key, child])),
  );
}

/**
 * Returns the line number of an offset, counted from 1.
 * @param {string} text
 * @param {number} offset
 */
export function lineOf(text, offset) {
  return text.slice(0, offset).split("\n").length;
}
