// @ts-check
/** `npm run e2e -- --bare SUITE`: tests the suite on bare machines, a new one for each place. */
import { execFileSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { barePackages } from "../../dev/debian-packages.mjs";
import { installDebianPackages, root } from "../../dev/setup.mjs";
import { copySource } from "../../dev/source.mjs";
import { withEnd } from "../host/end.mjs";
import { cached } from "../host/image.mjs";
import { runIsolated } from "../host/isolated.mjs";
import { cellName } from "../matrix.mjs";
import { places } from "./places.mjs";
import { parseFailures, parseTestOutput, total } from "./test-output.mjs";

/** @param {string} name the name of a file in this directory */
const here = (name) => fileURLToPath(new URL(name, import.meta.url));

/** The time limit for a newcomer's commands in one place, in seconds; tests may run twice. */
const LIMIT_SECONDS = 9000;

/**
 * The environment variables that a machine needs to reach the package registries, and those that
 * the tests read.
 */
const PASSED_ON = /^(https?_proxy|no_proxy|NODE_EXTRA_CA_CERTS|SSL_CERT_FILE|CI|TEST_MUST_RUN)$/i;

/** @typedef {import("../matrix.mjs").Cell} Cell */

/**
 * @typedef {object} PlaceResult
 * @property {import("./newcomer.mjs").Step[]} steps
 * @property {string} output a directory with logs and built packages
 * @property {[string, import("./test-output.mjs").Counts][]} packages counts of `npm test`
 * @property {string[]} report the messages of `npm test` about failed tests
 */

/**
 * Runs commands in one place.
 * @param {object} options
 * @param {Cell} options.cell
 * @param {string} options.name      the name of the place
 * @param {string[]} options.commands commands of newcomer.mjs, in the order in which they run
 * @param {string} options.output    a directory, which is emptied first
 * @param {AbortSignal} options.signal ends the run immediately
 * @returns {Promise<PlaceResult>}
 */
export async function runPlace({ cell, name, commands, output, signal }) {
  const place = places[name];
  if (place === undefined)
    throw new Error(`no place ${name}; there are ${Object.keys(places).join(", ")}`);
  const { suite, node } = cell;
  const tree = cached(`bare-${suite}-${node}`, [here("tree.sh")], (path) => [suite, node, path]);
  rmSync(output, { recursive: true, force: true });
  mkdirSync(output, { recursive: true });
  const input = mkdtempSync(join(tmpdir(), "cm4all-bare-"));
  try {
    fillInput(input, { place, commands, limitSeconds: LIMIT_SECONDS });
    await runIsolated({
      command: [here("machine.sh"), tree, input, output],
      console: join(output, "console"),
      signal,
      env: machineEnvironment(),
    });
  } finally {
    rmSync(input, { recursive: true, force: true });
  }
  const steps = readJson(join(output, "steps.json"));
  /** @param {string} log */
  const read = (log) =>
    existsSync(join(output, log)) ? readFileSync(join(output, log), "utf8") : "";
  const report = ["test.log", "offline-test.log"].flatMap((log) => parseFailures(read(log)));
  return { steps, packages: [...parseTestOutput(read("test.log"))], report, output };
}

/** @param {string} input @param {object} plan */
function fillInput(input, plan) {
  const source = join(input, "source");
  copySource(source);
  /** @param {string[]} args */
  const git = (...args) => execFileSync("git", ["-C", source, ...args], { stdio: "ignore" });
  const who = ["-c", "user.name=bare", "-c", "user.email=bare@localhost"];
  git("init", "-b", "main");
  git("add", "-A");
  git(...who, "commit", "-m", "the suite");
  git("clone", "--bare", ".", join(input, "suite.git"));
  git("archive", "-o", join(input, "suite.tar.gz"), "HEAD");
  rmSync(source, { recursive: true });
  for (const name of ["newcomer.mjs", "odd.mjs", "readme.mjs", "terminal.mjs"])
    cpSync(here(name), join(input, name));
  writeFileSync(join(input, "plan.json"), JSON.stringify(plan));
  writeFileSync(join(input, "run"), "cd / && node /e2e/in/newcomer.mjs\n");
}

function machineEnvironment() {
  const passedOn = Object.entries(process.env).filter(([name]) => PASSED_ON.test(name));
  return {
    ...Object.fromEntries(passedOn),
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    HOME: "/root",
    TERM: "dumb",
  };
}

/** @param {string} path */
function readJson(path) {
  return JSON.parse(readFileSync(path, "utf8"));
}

/**
 * Runs commands in places, one machine after the other, and prints the results of each.
 * @param {Cell} cell
 * @param {{ name: string, commands: string[] }[]} plan
 * @returns {Promise<PlaceResult[]>}
 * @throws Ended
 */
export async function runPlaces(cell, plan) {
  installDebianPackages(barePackages);
  const results = [];
  for (const { name, commands } of plan) {
    console.log(`${cellName(cell)}, ${name}: ${places[name]?.title}`);
    const output = join(root, "packages/e2e/logs", `bare-${cell.suite}-${cell.node}`, name);
    const result = await withEnd(LIMIT_SECONDS, output, (signal) =>
      runPlace({ cell, name, commands, output, signal }),
    );
    printPlace(name, result);
    results.push(result);
  }
  return results;
}

/**
 * Prints a line for each step, a line for each package with the numbers of its tests, and the
 * messages about failed tests, for readers who do not have the log.
 * @param {string} name @param {PlaceResult} result
 */
export function printPlace(name, { steps, packages, report }) {
  for (const { name: command, seconds, failure } of steps) {
    const title = `${name}: ${command} (${seconds} s)`;
    if (failure === undefined) console.log(`ok     ${title}`);
    else console.log(`FAILED ${title}\n       ${failure.replaceAll("\n", "\n       ")}`);
  }
  for (const [title, { passed, failed, skipped, seconds }] of packages)
    console.log(
      `       ${basename(title).padEnd(16)} ${String(Math.round(seconds)).padStart(4)} s  ` +
        `${passed} passed, ${failed} failed, ${skipped} skipped`,
    );
  for (const line of report) console.log(line);
}

/** Returns a line for each step that failed. @param {PlaceResult[]} results */
export function failuresOf(results) {
  return results.flatMap(({ steps }) =>
    steps.flatMap(({ name, failure }) =>
      failure === undefined ? [] : [`${name}: ${failure.split("\n")[0]}`],
    ),
  );
}

/**
 * Prints the numbers of tests that passed, failed and were skipped in all places, in the words that
 * test runners use.
 * @param {PlaceResult[]} results @returns true if all tests and steps have passed
 */
export function printTotal(results) {
  const tests = total(results.flatMap(({ packages }) => packages.map(([, counts]) => counts)));
  console.log(`${tests.passed} passed, ${tests.failed} failed, ${tests.skipped} skipped`);
  return tests.failed === 0 && failuresOf(results).length === 0;
}
