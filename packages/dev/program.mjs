// @ts-check
import { existsSync, realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";

/**
 * Returns whether a module is the program that was started. Node has resolved symbolic links to
 * it.
 * @param {string} url import.meta.url
 */
export function isProgram(url) {
  const [, program] = process.argv;
  if (program === undefined || !existsSync(program)) return false;
  return realpathSync(program) === fileURLToPath(url);
}
