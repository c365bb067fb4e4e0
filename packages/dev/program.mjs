// @ts-check
import { existsSync, realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";

/**
 * Returns whether a module is the program that was started.
 * @param {string} url import.meta.url, in which Node has resolved symbolic links
 */
export function isProgram(url) {
  const [, program] = process.argv;
  if (program === undefined || !existsSync(program)) return false;
  return realpathSync(program) === fileURLToPath(url);
}
