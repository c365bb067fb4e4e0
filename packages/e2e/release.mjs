// @ts-check
/**
 * `npm run release-check [-- --list] [STEP...]`: runs everything that .ci/run leaves out because
 * it takes hours: every cell of the matrix of Debian, Node and architecture, every place, and the
 * virtual machines. Steps that have passed with the same source are not repeated, so that an
 * interrupted run can be continued. At the end it prints the matrix for docs/platforms.md.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { errorText, fail, root } from "../dev/setup.mjs";
import { sourceHash } from "../dev/source.mjs";
import { commandsOf, places } from "./bare/places.mjs";
import { cellName, failuresOf, runPlaces } from "./bare/run.mjs";
import { total } from "./bare/test-output.mjs";
import { builtPackages, prepareBoot, runCases } from "./host/boot.mjs";
import { ours } from "./host/image.mjs";

const STATE = join(root, "packages/e2e/logs/release-check.json");

/** The cells: a fresh clone on each, and every place on the first. */
const CELLS = [
  { suite: "trixie", node: "debian" },
  ...["22", "24", "26"].map((node) => ({ suite: "trixie", node })),
  ...["20", "22", "24", "26"].map((node) => ({ suite: "bookworm", node })),
];

/** The cases that show that the packages of another architecture work. */
const ARM64_CASES = ["install", "client-run", "accounting-log", "netns", "nss"];

/** The cases that show that the packages work with an older systemd. */
const OLDER_CASES = ["install", "client-run", "accounting-unit", "survive", "remove"];

/**
 * @typedef {object} Result
 * @property {number} passed
 * @property {number} failed
 * @property {number} skipped
 * @property {string[]} failures
 */

/** @type {Map<string, () => Promise<Result>>} */
const steps = new Map();
for (const [i, cell] of CELLS.entries())
  for (const name of i === 0 ? Object.keys(places) : ["clone"])
    steps.set(`${cellName(cell)}, ${name}`, () => bare(cell, name));
steps.set("trixie, container", () => booted("container", ours(), []));
steps.set("bookworm, container", () =>
  booted("container", ours(), OLDER_CASES, undefined, "bookworm"),
);
steps.set("trixie, virtual machine", () => booted("vm", ours(), []));
steps.set("trixie, virtual machine of arm64", arm64);

/** @param {import("./bare/run.mjs").Cell} cell @param {string} name @returns {Promise<Result>} */
async function bare(cell, name) {
  const results = await runPlaces(cell, [{ name, commands: commandsOf(name) }]);
  const counts = results.flatMap(({ packages }) => packages.map(([, counts]) => counts));
  return { ...total(counts), failures: failuresOf(results) };
}

/**
 * @param {"container" | "vm"} machine @param {string} architecture
 * @param {string[]} only @param {string} [packages] @param {string} [suite]
 * @returns {Promise<Result>}
 */
async function booted(machine, architecture, only, packages = builtPackages, suite = "trixie") {
  prepareBoot(architecture, packages !== builtPackages);
  const state = await runCases({ machine, suite, architecture, packages, only });
  return state ?? { passed: 0, failed: 0, skipped: 0, failures: ["it did not come to an end"] };
}

/** Builds the packages on a bare Debian, and boots another machine with them. */
async function arm64() {
  const cell = { suite: "trixie", node: "debian" };
  const results = await runPlaces(cell, [{ name: "clone", commands: ["cross"] }]);
  const failures = failuresOf(results);
  if (failures.length > 0) return { passed: 0, failed: 0, skipped: 0, failures };
  const [{ output } = { output: "" }] = results;
  return booted("vm", "arm64", ARM64_CASES, output);
}

/** @param {string} source its hash @returns {Record<string, Result>} */
function readState(source) {
  if (!existsSync(STATE)) return {};
  const state = JSON.parse(readFileSync(STATE, "utf8"));
  return state.source === source ? state.done : {};
}

const isWell = (/** @type {Result | undefined} */ result) =>
  result !== undefined && result.failed === 0 && result.failures.length === 0;

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { list: { type: "boolean", default: false } },
  });
  const names = positionals.length > 0 ? positionals : [...steps.keys()];
  const source = sourceHash();
  const done = readState(source);
  if (!values.list)
    for (const name of names) {
      const step = steps.get(name);
      if (step === undefined) fail(`no step ${name}; --list shows them`);
      if (isWell(done[name])) continue;
      done[name] = await step();
      mkdirSync(dirname(STATE), { recursive: true });
      writeFileSync(STATE, JSON.stringify({ source, done }));
    }
  console.log("| step | passed | failed | skipped | what failed |\n|---|---|---|---|---|");
  for (const name of names) {
    const result = done[name];
    const cells = result ? [result.passed, result.failed, result.skipped] : ["-", "-", "-"];
    console.log(`| ${[name, ...cells, result?.failures.join("; ") ?? "not run"].join(" | ")} |`);
  }
  return values.list || names.every((name) => isWell(done[name]));
}

if (process.getuid?.() !== 0) fail("npm run release-check needs root: it makes machines");
try {
  process.exit((await main()) ? 0 : 1);
} catch (error) {
  fail(errorText(error));
}
