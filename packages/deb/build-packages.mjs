// @ts-check
/**
 * `npm run deb [-- --host-arch arm64]`: builds the Debian packages in a copy of the checkout,
 * below a temporary directory, and puts them into packages/deb/dist.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";
import { buildPackages, crossBuildPackages } from "../dev/debian-packages.mjs";
import { isProgram } from "../dev/program.mjs";
import { commandLine, errorText, fail, installDebianPackages, root, run } from "../dev/setup.mjs";
import { copySource } from "../dev/source.mjs";
import { wrongMachines } from "./elf.mjs";

/**
 * Builds the packages below `workDirectory`, and returns their paths there.
 * @param {string} workDirectory an empty directory
 * @param {string} [architecture] Debian's name for the architecture; by default this machine's
 * @returns {string[]}
 */
export function buildBelow(workDirectory, architecture) {
  const tree = join(workDirectory, "cm4all-spawn");
  copySource(tree);
  // Do not check the build dependencies: Node need not come from Debian's package. For
  // `npm run deb`, `main` has installed the others.
  const options = ["-b", "-uc", "-us", "-d"];
  if (architecture !== undefined) options.push(`--host-arch=${architecture}`);
  const { status, error } = spawnSync("dpkg-buildpackage", options, {
    cwd: tree,
    stdio: "inherit",
  });
  if (error) throw error;
  if (status !== 0) throw new Error(`dpkg-buildpackage: status ${status}`);
  return readdirSync(workDirectory)
    .filter((name) => name.endsWith(".deb"))
    .map((name) => join(workDirectory, name));
}

/** @param {string} architecture */
function prepareCrossBuild(architecture) {
  const packages = crossBuildPackages(architecture);
  const known = spawnSync("dpkg", ["--print-foreign-architectures"], { encoding: "utf8" }).stdout;
  if (packages.length > 0 && !known.split("\n").includes(architecture))
    fail(
      `The packages' dependencies are determined from the libraries of ${architecture}. ` +
        `Make these known to apt first: dpkg --add-architecture ${architecture} && apt-get update`,
    );
  installDebianPackages(packages);
}

function main() {
  const { values } = commandLine(() => parseArgs({ options: { "host-arch": { type: "string" } } }));
  const architecture = values["host-arch"];
  installDebianPackages(buildPackages);
  if (architecture !== undefined) prepareCrossBuild(architecture);
  const workDirectory = mkdtempSync(join(tmpdir(), "cm4all-deb-"));
  process.on("exit", () => rmSync(workDirectory, { recursive: true, force: true }));
  const output = join(root, "packages/deb/dist");
  const packages = buildBelow(workDirectory, architecture);
  const wrong = packages.flatMap(wrongMachines);
  if (wrong.length > 0) fail(wrong.join("\n"));
  run("lintian", ["--allow-root", "--fail-on", "error,warning", ...packages]);
  rmSync(output, { recursive: true, force: true });
  mkdirSync(output, { recursive: true });
  for (const path of packages) {
    const target = join(output, basename(path));
    cpSync(path, target);
    console.log(`${target}: ${Math.ceil(readFileSync(target).length / 1024)} KiB`);
  }
}

if (isProgram(import.meta.url)) {
  try {
    main();
  } catch (error) {
    fail(errorText(error));
  }
}
