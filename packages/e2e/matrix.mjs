// @ts-check
/** The steps of release-check, and the table in docs/platforms.md with a row for each. Pure. */
import { places } from "./bare/places.mjs";

/**
 * @typedef {object} Cell a combination of Debian and Node
 * @property {string} suite `trixie` or `bookworm`
 * @property {string} node  `debian`, or a major version, which comes from npm
 */

/** @typedef {Cell & { where: string }} Step `where`: a place of bare/places.mjs, or a machine */

/**
 * @typedef {object} Result
 * @property {number} passed
 * @property {number} failed
 * @property {number} skipped
 * @property {string[]} failures
 */

/** @typedef {Result & { commit: string, date: string }} DatedResult */

/** The machines that are not bare: our packages are installed on them. */
export const CONTAINER = "container";
export const VM = "virtual machine";
export const ARM64_VM = "arm64 virtual machine";

/** Debian 13 with Debian's own Node. */
const FIRST = { suite: "trixie", node: "debian" };

/**
 * The places that no other place covers. `worst` combines the conditions of `root`, `blank` and
 * `link`. These three are left out: they only show which condition causes a failure of `worst`.
 */
const DISTINCT_PLACES = ["clone", "tarball", "worst"];

/**
 * @type {readonly Step[]} the distinct places with the FIRST cell, a fresh clone with each of the
 *   other cells, and the machines that are not bare
 */
export const steps = [
  ...DISTINCT_PLACES.map((where) => ({ ...FIRST, where })),
  ...["22", "24", "26"].map((node) => ({ suite: "trixie", node, where: "clone" })),
  ...["20", "22", "24", "26"].map((node) => ({ suite: "bookworm", node, where: "clone" })),
  { ...FIRST, where: CONTAINER },
  { suite: "bookworm", node: "20", where: CONTAINER },
  { ...FIRST, where: VM },
  { ...FIRST, where: ARM64_VM },
];

/** @param {Cell} cell */
export const cellName = ({ suite, node }) =>
  `${suite}, Node ${node === "debian" ? "of Debian" : node}`;

/** Returns the name that a step has on the command line. @param {Step} step */
export function stepName(step) {
  const isBare = Object.hasOwn(places, step.where);
  return `${isBare ? cellName(step) : step.suite}, ${step.where}`;
}

const TITLES = [
  ...["Debian", "Node", "where", "passed", "failed", "skipped"],
  ...["commit", "run on", "what failed"],
];

/** The number of columns that identify the step of a row. */
const KEY_LENGTH = 3;

/** @type {Readonly<Record<string, string>>} */
const RELEASES = { trixie: "13", bookworm: "12" };

/** Returns the text of the columns that identify a step. @param {Step} step */
function keyOf({ suite, node, where }) {
  return [
    RELEASES[suite] ?? suite,
    node === "debian" ? "20.19, Debian's" : `${node}, npm's`,
    Object.hasOwn(places, where) ? `\`${where}\`` : where,
  ];
}

/** @param {DatedResult} result */
function cellsOf({ passed, failed, skipped, commit, date, failures }) {
  const what = failures.length === 0 ? "nothing" : failures.join("; ").replaceAll("|", "\\|");
  return [...[passed, failed, skipped].map(String), commit, date, what];
}

/** Returns the table rows of a Markdown page, each as its columns. @param {string} page */
function rowsOf(page) {
  const lines = page.split("\n").filter((line) => line.startsWith("|"));
  return lines.map((line) =>
    line
      .slice(1, -1)
      .split(/(?<!\\)\|/)
      .map((cell) => cell.trim()),
  );
}

/** @param {readonly string[][]} rows the first row has the titles */
function formatTable([titles = [], ...rows]) {
  const widths = titles.map((title, i) =>
    Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)),
  );
  const rule = widths.map((width) => "-".repeat(width));
  return [titles, rule, ...rows].map(
    (row) => `| ${widths.map((width, i) => (row[i] ?? "").padEnd(width)).join(" | ")} |\n`,
  );
}

/**
 * Returns the table for docs/platforms.md. A step without a result keeps its row, because the
 * steps are run at different times.
 * @param {string} page the present text
 * @param {Readonly<Record<string, DatedResult>>} results by the name of the step
 */
export function platformsTable(page, results) {
  const present = rowsOf(page).filter((row) => row.length === TITLES.length);
  const rows = steps.map((step) => {
    const key = keyOf(step);
    const result = results[stepName(step)];
    if (result !== undefined) return [...key, ...cellsOf(result)];
    const isSame = (/** @type {string[]} */ row) => key.every((cell, i) => row[i] === cell);
    const nothing = TITLES.slice(KEY_LENGTH, -1).map(() => "-");
    return present.find(isSame) ?? [...key, ...nothing, "not recorded"];
  });
  return formatTable([TITLES, ...rows]).join("");
}
