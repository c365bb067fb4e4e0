// @ts-check
/** Boots a Debian system with our packages for guest/cases, in a container or a virtual machine. */
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
import { arm64Packages, e2ePackages } from "../../dev/debian-packages.mjs";
import {
  errorText,
  fail,
  installDebianPackages,
  installDependencies,
  root,
  turbo,
} from "../../dev/setup.mjs";
import { runContainer } from "./container.mjs";
import { withEnd } from "./end.mjs";
import { cacheDirectory, diskImage, ours, rootTree } from "./image.mjs";
import { copyAddons, makeOriginal, makeUpgrade } from "./packages.mjs";
import { runVm } from "./vm.mjs";

const here = join(root, "packages/e2e");

/** The time limit for a machine, from boot to power-off, in seconds. */
const LIMIT_SECONDS = { container: 900, vm: 3600 };

/** The factor by which a machine of each kind is slower than a real one. */
const SLOWNESS = { container: 1, vm: 20 };

/** The directory with the Debian packages that prepareBoot builds. */
export const builtPackages = join(root, "packages/deb/dist");

/**
 * Prepares this machine for booting.
 * @param {string} architecture `amd64` or `arm64`
 * @param {boolean} keep        true to use the packages that are already built, if there are any
 */
export function prepareBoot(architecture, keep) {
  installDebianPackages(e2ePackages);
  if (architecture !== ours()) installDebianPackages(arm64Packages);
  installDependencies();
  turbo(["run", "build", "--filter=@cm4all/e2e...", "--output-logs=errors-only"]);
  if (!keep || !existsSync(builtPackages)) buildPackages();
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
 * @typedef {object} Boot
 * @property {"container" | "vm"} machine
 * @property {string} suite        `trixie` or `bookworm`
 * @property {string} architecture `amd64` or `arm64`
 * @property {string} packages     the directory of our packages
 * @property {string[]} only       names of cases; empty for all
 */

/**
 * Runs cases and prints a line for each.
 * @param {Boot} boot
 * @returns the numbers of cases that passed, failed and were skipped, and the names of those that
 *   failed; undefined if the cases did not finish
 */
export async function runCases({ machine, suite, architecture, packages, only }) {
  const tree = rootTree(suite, architecture);
  const image = machine === "vm" ? diskImage(suite, architecture, tree) : "";
  const output = join(here, "logs", `${machine}-${suite}-${architecture}`);
  rmSync(output, { recursive: true, force: true });
  mkdirSync(output, { recursive: true });
  const input = mkdtempSync(join(tmpdir(), "cm4all-e2e-"));
  const printing = printLines(join(output, "lines"));
  try {
    fillInput(input, packages, { slowness: SLOWNESS[machine], only });
    console.log(`${machine}, ${suite}, ${architecture}:`);
    await withEnd(LIMIT_SECONDS[machine], output, async (signal) => {
      const options = { input, output, signal };
      if (machine === "container") await runContainer({ tree, ...options });
      else await runVm({ architecture, image, workDirectory: cacheDirectory(), ...options });
    });
  } catch (error) {
    console.log(errorText(error));
  } finally {
    printing.end();
    rmSync(input, { recursive: true, force: true });
  }
  const result = join(output, "result.json");
  if (!existsSync(result)) {
    console.log(`the cases did not finish; see ${output}`);
    return undefined;
  }
  const { passed, failed, skipped, failures } = JSON.parse(readFileSync(result, "utf8"));
  return { passed, failed, skipped, failures };
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
  // The programs, with the addons for the architecture of the machine that is booted.
  for (const name of readdirSync(join(here, "dist")))
    if (name.endsWith(".js")) cpSync(join(here, "dist", name), join(input, name));
  copyAddons(built, input);
  writeFileSync(join(input, "plan.json"), JSON.stringify(plan));
  writeFileSync(join(input, "run"), "exec node guest.js\n");
}

/** Prints the lines that are added to a file. @param {string} path */
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
