// @ts-check
/**
 * Reads README's two commands, as a newcomer does. The bare machine has nothing but Node, which may
 * be too old for the TypeScript of packages/testing/src/snippets.ts.
 */

/** The remark before the block, which names the program that runs it. */
const BLOCK = /^<!-- tested by: packages\/e2e\/bare\/newcomer\.mjs -->\n\n((?: {4}.*\n)+)/m;

/**
 * Returns the command that shows the daemon and the one that runs the tests. Pure.
 * @param {string} readme its text @throws Error if it does not have exactly these two
 */
export function twoCommands(readme) {
  const [, block = ""] = BLOCK.exec(readme) ?? [];
  const lines = block.split("\n").map((line) => line.replace(/ {2,}#.*$/, "").trim());
  const [start, test, ...more] = lines.filter((line) => line !== "");
  if (start === undefined || test === undefined || more.length > 0)
    throw new Error(`README has not two commands: ${block}`);
  return { start, test };
}
