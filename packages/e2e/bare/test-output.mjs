// @ts-check
/**
 * Parses the output of `npm test`: what vitest prints for each package. turbo puts the name of the
 * package in front of each line.
 */

/**
 * @typedef {object} Counts
 * @property {number} passed
 * @property {number} failed
 * @property {number} skipped
 * @property {number} seconds
 */

/**
 * Returns the counts of the packages, in the order in which they ended. Pure.
 * @param {string} text without colours @returns {Map<string, Counts>}
 */
export function parseTestOutput(text) {
  /** @type {Map<string, Counts>} */
  const packages = new Map();
  for (const line of text.split("\n")) {
    const [, name = "", said = ""] = /^(\S+):test: +(.*)$/.exec(line) ?? [];
    const [, tests] = /^Tests +(\d.*)$/.exec(said) ?? [];
    if (tests !== undefined)
      packages.set(name, {
        passed: count(tests, "passed"),
        failed: count(tests, "failed"),
        skipped: count(tests, "skipped"),
        seconds: 0,
      });
    const [, time, unit] = /^Duration +([\d.]+)(m?s)\b/.exec(said) ?? [];
    const counts = packages.get(name);
    if (counts !== undefined && time !== undefined)
      counts.seconds = Number(time) / (unit === "ms" ? 1000 : 1);
  }
  return packages;
}

/** The maximum number of lines for a package; the log has all lines. */
const MAX_REPORT_LINES = 80;

/**
 * Returns vitest's messages about failed tests, each line after the name of its package. Pure.
 * @param {string} text without colours @returns {string[]}
 */
export function parseFailures(text) {
  /** The number of lines that may still be returned, by package. @type {Map<string, number>} */
  const left = new Map();
  const lines = [];
  for (const line of text.split("\n")) {
    const [, name = "", said = ""] = /^(\S+):test: ?(.*)$/.exec(line) ?? [];
    const room = left.get(name);
    if (room === undefined && /^⎯+ (Failed|Unhandled) /.test(said))
      left.set(name, MAX_REPORT_LINES);
    else if (/^ *Test Files /.test(said)) left.set(name, 0);
    else if (room !== undefined && room > 0 && said.trim() !== "") {
      lines.push(`${name}: ${said}`);
      left.set(name, room - 1);
    }
  }
  return lines;
}

/** @param {string} text @param {string} word */
function count(text, word) {
  return Number(new RegExp(`(\\d+) ${word}`).exec(text)?.[1] ?? 0);
}

/** @param {Iterable<Counts>} all @returns {Counts} */
export function total(all) {
  const sum = { passed: 0, failed: 0, skipped: 0, seconds: 0 };
  for (const counts of all) {
    sum.passed += counts.passed;
    sum.failed += counts.failed;
    sum.skipped += counts.skipped;
    sum.seconds += counts.seconds;
  }
  return sum;
}
