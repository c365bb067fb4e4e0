// @ts-check
/**
 * Builds the library of a package for programs outside this workspace: the private packages that
 * the library uses become part of it; the public ones remain dependencies. Call this in the
 * package's directory.
 */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { build } from "esbuild";

/**
 * @param {object} options
 * @param {string} options.entry      the entry module
 * @param {string} options.outfile    the ECMAScript module, in a directory of its own
 * @param {string} options.tsconfig the configuration for the type declarations, which are written
 *   into the same directory
 * @param {string[]} options.external dependencies that stay outside
 */
export async function library({ entry, outfile, tsconfig, external }) {
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: "node",
    target: "node20",
    format: "esm",
    legalComments: "none",
    external,
  });
  // The package.json in the directory above is for the executables, which are CommonJS.
  writeFileSync(join(dirname(outfile), "package.json"), '{ "type": "module" }\n');
  const tsc = createRequire(import.meta.url).resolve("typescript/package.json");
  const { status } = spawnSync(
    process.execPath,
    [join(dirname(tsc), "bin/tsc"), "-p", tsconfig, "--outDir", dirname(outfile)],
    { stdio: "inherit" },
  );
  if (status !== 0) throw new Error(`${tsconfig}: tsc failed`);
}
