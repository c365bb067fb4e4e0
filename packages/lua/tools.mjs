/**
 * Bundles and runs the developers' commands of this package: `node tools.mjs suites FOLDER`,
 * `node tools.mjs fuzz SECONDS [SEED]`, `node tools.mjs zones [TIMES]`.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { bundle } from "@cm4all/dev/bundle";

const BUILD = "--build";
const [name] = process.argv.splice(2, 1);

if (name === BUILD) {
  for (const [tool, entry] of Object.entries({
    lua: "suites/lua.ts",
    suites: "suites/main.ts",
    fuzz: "differential/main.ts",
    zones: "differential/zones-main.ts",
  }))
    await bundle({ entry, outfile: `dist/${tool}.js`, budgetKiB: 1000, stays: true });
} else {
  // Only the child process runs in the package's directory, because paths in the tool's arguments
  // are relative to the current directory.
  const { status } = spawnSync(process.execPath, [fileURLToPath(import.meta.url), BUILD], {
    cwd: import.meta.dirname,
    stdio: ["ignore", "ignore", "inherit"],
  });
  if (status !== 0) process.exit(1);
  await import(`./dist/${name}.js`);
}
