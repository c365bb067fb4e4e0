// @ts-check
/**
 * Reads README's two commands, as a newcomer does. The Node of the bare machine may be too old to
 * run packages/testing/src/snippets.ts, which is TypeScript.
 */

/** An HTML comment, which names the program that runs the commands, and the block of commands. */
const BLOCK = /^<!-- tested by: packages\/e2e\/bare\/newcomer\.mjs -->\n\n((?: {4}.*\n)+)/m;

/**
 * Returns the command that demonstrates the daemon and the one that runs the tests. Pure.
 * @param {string} readme its text @throws Error if the block does not have exactly two commands
 */
export function twoCommands(readme) {
  const [, block = ""] = BLOCK.exec(readme) ?? [];
  const lines = block.split("\n").map((line) => line.replace(/ {2,}#.*$/, "").trim());
  const [start, test, ...more] = lines.filter((line) => line !== "");
  if (start === undefined || test === undefined || more.length > 0)
    throw new Error(`README does not have two commands: ${block}`);
  return { start, test };
}
