// @ts-check
/**
 * `npm run release-check [-- --list] [STEP...]`: runs the steps of matrix.mjs, which test all
 * combinations of Debian and Node, the places in DISTINCT_PLACES, the containers and the virtual
 * machines, one of which is an arm64 machine. That takes hours, so .ci/run does only a small part.
 * Steps that have passed with the same source are not repeated, so an interrupted run can be
 * continued. At the end, the command prints the table of docs/platforms.md, with new rows for the
 * steps that have results, including those of an interrupted run.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { commandLine, EX_USAGE, errorText, fail, root } from "../dev/setup.mjs";
import { sourceHash } from "../dev/source.mjs";
import { commandsOf } from "./bare/places.mjs";
import { failuresOf, runPlaces } from "./bare/run.mjs";
import { total } from "./bare/test-output.mjs";
import { builtPackages, prepareBoot, runCases } from "./host/boot.mjs";
import { ours } from "./host/image.mjs";
import { ARM64_VM, CONTAINER, platformsTable, stepName, steps, VM } from "./matrix.mjs";

const STATE = join(root, "packages/e2e/logs/release-check.json");

/** The cases that show that the packages of another architecture work. */
const ARM64_CASES = ["install", "client-run", "accounting-log", "netns", "nss"];

/** The cases that show that the packages work with an older systemd. */
const OLDER_CASES = ["install", "client-run", "accounting-unit", "survive", "remove"];

/** @typedef {import("./matrix.mjs").Result} Result */
/** @typedef {import("./matrix.mjs").DatedResult} DatedResult */

/** @param {import("./matrix.mjs").Step} step @returns {Promise<Result>} */
function run(step) {
  const { suite, where } = step;
  if (where === ARM64_VM) return arm64();
  if (where === VM) return booted("vm", ours(), []);
  if (where !== CONTAINER) return bare(step, where);
  const cases = suite === "bookworm" ? OLDER_CASES : [];
  return booted("container", ours(), cases, undefined, suite);
}

/** @param {import("./matrix.mjs").Cell} cell @param {string} name @returns {Promise<Result>} */
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
  return state ?? { passed: 0, failed: 0, skipped: 0, failures: ["it did not finish"] };
}

/** Builds arm64 packages on a bare Debian machine, and boots an arm64 virtual machine with them. */
async function arm64() {
  const cell = { suite: "trixie", node: "debian" };
  const results = await runPlaces(cell, [{ name: "clone", commands: ["cross"] }]);
  const failures = failuresOf(results);
  if (failures.length > 0) return { passed: 0, failed: 0, skipped: 0, failures };
  const [{ output } = { output: "" }] = results;
  return booted("vm", "arm64", ARM64_CASES, output);
}

/** @param {string} source its hash @returns {Record<string, DatedResult>} */
function readState(source) {
  if (!existsSync(STATE)) return {};
  const state = JSON.parse(readFileSync(STATE, "utf8"));
  return state.source === source ? state.done : {};
}

/** Returns the commit, and whether files have been changed since; without git, a dash. */
function currentCommit() {
  const git = (/** @type {string[]} */ ...args) =>
    spawnSync("git", ["-C", root, ...args], { encoding: "utf8" });
  const { status, stdout } = git("rev-parse", "--short", "HEAD");
  if (status !== 0) return "-";
  return stdout.trim() + (git("status", "--porcelain").stdout === "" ? "" : " and changes");
}

const isWell = (/** @type {Result | undefined} */ result) =>
  result !== undefined && result.failed === 0 && result.failures.length === 0;

/** Returns the names of the steps on the command line, or of all steps if it has none. */
function wantedSteps() {
  for (const name of positionals)
    if (!known.has(name)) fail(`no step ${name}; --list shows them`, EX_USAGE);
  return positionals.length > 0 ? positionals : [...known.keys()];
}

async function main() {
  const source = sourceHash();
  const done = readState(source);
  for (const name of names) {
    const step = known.get(name);
    if (step === undefined) continue;
    if (values.list) console.log(`${isWell(done[name]) ? "passed" : "to run"}  ${name}`);
    if (values.list || isWell(done[name])) continue;
    const commit = currentCommit();
    const date = new Date().toISOString().slice(0, 10);
    done[name] = { ...(await run(step)), commit, date };
    mkdirSync(dirname(STATE), { recursive: true });
    writeFileSync(STATE, JSON.stringify({ source, done }));
  }
  console.log(`\n${platformsTable(readFileSync(join(root, "docs/platforms.md"), "utf8"), done)}`);
  return values.list || names.every((name) => isWell(done[name]));
}

const { values, positionals } = commandLine(() =>
  parseArgs({
    allowPositionals: true,
    options: { list: { type: "boolean", default: false } },
  }),
);
const known = new Map(steps.map((step) => [stepName(step), step]));
const names = wantedSteps();
if (process.getuid?.() !== 0) fail("npm run release-check needs root: it makes machines");
try {
  process.exit((await main()) ? 0 : 1);
} catch (error) {
  fail(errorText(error));
}
