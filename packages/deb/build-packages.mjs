// @ts-check
/**
 * `npm run deb`: builds the Debian packages in a copy of the checkout, below a temporary
 * directory, and puts them into packages/deb/dist.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { buildPackages } from "../dev/debian-packages.mjs";
import { isProgram } from "../dev/program.mjs";
import { fail, installDebianPackages, root, run } from "../dev/setup.mjs";
import { copySource } from "../dev/source.mjs";

/**
 * Builds below `workDirectory`, and gives the paths of the packages there.
 * @param {string} workDirectory an empty directory
 * @returns {string[]}
 */
export function buildBelow(workDirectory) {
  const tree = join(workDirectory, "cm4all-spawn");
  copySource(tree);
  // Not asked again whether the build dependencies are there: Node may be, without being
  // Debian's package, and the others have just been installed.
  const { status, error } = spawnSync("dpkg-buildpackage", ["-b", "-uc", "-us", "-d"], {
    cwd: tree,
    stdio: "inherit",
  });
  if (error) throw error;
  if (status !== 0) throw new Error(`dpkg-buildpackage: status ${status}`);
  return readdirSync(workDirectory)
    .filter((name) => name.endsWith(".deb"))
    .map((name) => join(workDirectory, name));
}

function main() {
  installDebianPackages(buildPackages);
  const workDirectory = mkdtempSync(join(tmpdir(), "cm4all-deb-"));
  process.on("exit", () => rmSync(workDirectory, { recursive: true, force: true }));
  const output = join(root, "packages/deb/dist");
  const packages = buildBelow(workDirectory);
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
    fail(error instanceof Error ? error.message : String(error));
  }
}
