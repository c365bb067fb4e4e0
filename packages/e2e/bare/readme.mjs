// @ts-check
/**
 * Reads the two commands that the README gives newcomers. It does so without
 * packages/testing/src/snippets.ts, because the Node of a bare machine may be too old to run
 * TypeScript.
 */

/** Matches an HTML comment that names newcomer.mjs, and the block of commands below it. */
const BLOCK = /^<!-- tested by: packages\/e2e\/bare\/newcomer\.mjs -->\n\n((?: {4}.*\n)+)/m;

/**
 * Returns the command that demonstrates the daemon and the one that runs the tests. Pure.
 * @param {string} readme the text of README
 * @throws Error if the block does not have exactly two commands
 */
export function twoCommands(readme) {
  const [, block = ""] = BLOCK.exec(readme) ?? [];
  const lines = block.split("\n").map((line) => line.replace(/ {2,}#.*$/, "").trim());
  const [start, test, ...more] = lines.filter((line) => line !== "");
  if (start === undefined || test === undefined || more.length > 0)
    throw new Error(`README does not have two commands: ${block}`);
  return { start, test };
}
