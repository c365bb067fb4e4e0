// @ts-check
/**
 * `npm run e2e [-- --container] [--vm] [--suite NAME] [--keep-packages] [CASE...]`: builds the
 * packages and the images, boots, and runs the cases of guest/cases.
 *
 * `npm run e2e -- --bare trixie|bookworm [--node 20|22|24|26] [--commands LIST] [PLACE...]`:
 * the README's commands on bare machines; see bare/.
 */
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { barePackages, e2ePackages } from "../dev/debian-packages.mjs";
import { fail, installDebianPackages, installDependencies, root, turbo } from "../dev/setup.mjs";
import { places } from "./bare/places.mjs";
import { cellName, printPlace, printTotal, runPlace } from "./bare/run.mjs";
import { runContainer } from "./host/container.mjs";
import { cacheDirectory, diskImage, rootTree } from "./host/image.mjs";
import { makeOriginal, makeUpgrade } from "./host/packages.mjs";
import { runVm } from "./host/vm.mjs";

const here = join(root, "packages/e2e");

/** Time for everything inside, seconds. */
const LIMIT_SECONDS = { container: 900, vm: 3600, bare: 5400 };

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"];

/** How much longer things take than on a real machine. */
const SLOWNESS = { container: 1, vm: 20 };

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      container: { type: "boolean", default: false },
      vm: { type: "boolean", default: false },
      suite: { type: "string", default: "trixie" },
      "keep-packages": { type: "boolean", default: false },
      bare: { type: "string" },
      node: { type: "string", default: "debian" },
      commands: { type: "string", default: "start,test,offline" },
    },
  });
  if (process.getuid?.() !== 0) fail("npm run e2e needs root: it boots a container. Try: sudo");
  if (values.bare !== undefined) {
    const cell = { suite: values.bare, node: values.node };
    process.exit((await runBare(cell, positionals, values.commands.split(","))) ? 0 : 1);
  }
  /** @type {("container" | "vm")[]} */
  const machines = [];
  if (values.container || !values.vm) machines.push("container");
  if (values.vm || !values.container) machines.push("vm");

  installDebianPackages(e2ePackages);
  installDependencies();
  turbo(["run", "build", "--filter=@cm4all/e2e...", "--output-logs=errors-only"]);
  const packages = join(root, "packages/deb/dist");
  if (!values["keep-packages"] || !existsSync(packages)) buildPackages();

  let hasFailed = false;
  for (const machine of machines)
    hasFailed = !(await runOn(machine, values.suite, packages, positionals)) || hasFailed;
  process.exit(hasFailed ? 1 : 0);
}

/**
 * @param {import("./bare/run.mjs").Cell} cell
 * @param {string[]} names of places; all where it is empty
 * @param {string[]} commands
 * @returns whether all is well
 */
async function runBare(cell, names, commands) {
  installDebianPackages(barePackages);
  const results = [];
  for (const name of names.length > 0 ? names : Object.keys(places)) {
    const output = join(here, "logs", `bare-${cell.suite}-${cell.node}`, name);
    console.log(`${cellName(cell)}, ${name}: ${places[name]?.title}`);
    const result = await withEnd(LIMIT_SECONDS.bare, output, (signal) =>
      runPlace({ cell, name, commands, output, signal }),
    );
    printPlace(name, result);
    results.push(result);
  }
  return printTotal(results);
}

/**
 * Whatever ends us, the machine ends with us, and what it needs is removed.
 * @template T
 * @param {number} seconds the time that it has
 * @param {string} output  where the reader finds more
 * @param {(signal: AbortSignal) => Promise<T>} work
 */
async function withEnd(seconds, output, work) {
  const end = new AbortController();
  const abort = () => end.abort();
  const timer = setTimeout(abort, seconds * 1000);
  for (const signal of SIGNALS) process.on(signal, abort);
  try {
    return await work(end.signal);
  } catch (error) {
    if (!end.signal.aborted) throw error;
    console.log(`ended before it was through; see ${output}`);
    process.exit(1);
  } finally {
    clearTimeout(timer);
    for (const signal of SIGNALS) process.off(signal, abort);
  }
}

function buildPackages() {
  const log = join(here, "logs");
  mkdirSync(log, { recursive: true });
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [join(root, "packages/deb/build-packages.mjs")],
    { encoding: "utf8", maxBuffer: 1 << 28 },
  );
  writeFileSync(join(log, "deb.log"), stdout + stderr);
  if (status !== 0) fail(`building the packages failed; see ${log}/deb.log`);
}

/**
 * @param {"container" | "vm"} machine
 * @param {string} suite
 * @param {string} packages a directory
 * @param {string[]} only names of cases
 */
async function runOn(machine, suite, packages, only) {
  const tree = rootTree(suite);
  const image = machine === "vm" ? diskImage(suite, tree) : "";
  const output = join(here, "logs", machine);
  rmSync(output, { recursive: true, force: true });
  mkdirSync(output, { recursive: true });
  const input = mkdtempSync(join(tmpdir(), "cm4all-e2e-"));
  const printing = printLines(join(output, "lines"));
  const end = new AbortController();
  const abort = () => end.abort();
  const timer = setTimeout(abort, LIMIT_SECONDS[machine] * 1000);
  // Whatever ends us, the machine ends with us, and what it needs is removed.
  for (const signal of SIGNALS) process.on(signal, abort);
  try {
    fillInput(input, packages, { slowness: SLOWNESS[machine], only });
    console.log(`${machine}, ${suite}:`);
    const options = { input, output, signal: end.signal };
    if (machine === "container") await runContainer({ tree, ...options });
    else await runVm({ image, workDirectory: cacheDirectory(), ...options });
  } catch (error) {
    console.log(error instanceof Error ? error.message : String(error));
  } finally {
    clearTimeout(timer);
    for (const signal of SIGNALS) process.off(signal, abort);
    printing.end();
    rmSync(input, { recursive: true, force: true });
  }
  if (end.signal.aborted) {
    console.log(`ended before the cases were through; see ${output}`);
    process.exit(1);
  }
  const result = join(output, "result.json");
  if (!existsSync(result)) {
    console.log(`the cases did not come to an end; see ${output}`);
    return false;
  }
  return JSON.parse(readFileSync(result, "utf8")).failed === 0;
}

/** @param {string} input @param {string} packages @param {object} plan */
function fillInput(input, packages, plan) {
  const built = readdirSync(packages)
    .filter((name) => name.endsWith(".deb"))
    .map((name) => join(packages, name));
  mkdirSync(join(input, "packages"));
  for (const path of built) cpSync(path, join(input, "packages", basename(path)));
  makeUpgrade(built, join(input, "upgrade"));
  makeOriginal(join(input, "original"));
  for (const name of readdirSync(join(here, "dist")))
    if (/\.(js|node)$/.test(name)) cpSync(join(here, "dist", name), join(input, name));
  writeFileSync(join(input, "plan.json"), JSON.stringify(plan));
  writeFileSync(join(input, "run"), "exec node guest.js\n");
}

/** Prints what is added to a file. @param {string} path */
function printLines(path) {
  let printed = 0;
  const print = () => {
    const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
    if (size <= printed) return;
    process.stdout.write(readFileSync(path).subarray(printed, size));
    printed = size;
  };
  const timer = setInterval(print, 200);
  return {
    end() {
      clearInterval(timer);
      print();
    },
  };
}

await main();
