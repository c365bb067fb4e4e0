// @ts-check
/**
 * Bundles one executable into one `.js` file that runs from an empty directory.
 * A program that makes system calls needs the ffi-rs addon beside it: the addon
 * is an ELF object that no bundler can inline, so it is copied next to the file.
 */
import { copyFileSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { build } from "esbuild";

/**
 * @param {object} options
 * @param {string} options.entry     the entry module
 * @param {string} options.outfile   the bundle, below `dist/`
 * @param {number} options.budgetKiB the largest size the bundle may have
 * @param {boolean} [options.ffi]    whether the program makes system calls
 * @param {string} [options.version] what `__VERSION__` becomes
 * @param {Record<string, string>} [options.loader] further esbuild loaders
 */
export async function bundle({ entry, outfile, budgetKiB, ffi = false, version, loader }) {
  mkdirSync(dirname(outfile), { recursive: true });
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: "node",
    target: "node20",
    // CommonJS: a lone `.js` file without a package.json is CommonJS to Node.
    format: "cjs",
    minifySyntax: true,
    minifyWhitespace: true,
    keepNames: true,
    legalComments: "none",
    external: ["*.node", "@yuuang/*"],
    banner: { js: "#!/usr/bin/env node" },
    define: {
      __VERSION__: JSON.stringify(version ?? process.env.npm_package_version ?? "0.0.0"),
    },
    ...(loader === undefined ? {} : { loader }),
  });
  const size = statSync(outfile).size;
  const limit = budgetKiB * 1024;
  if (size > limit) {
    rmSync(outfile);
    throw new Error(
      `${outfile}: ${Math.ceil(size / 1024)} KiB is over its budget of ${budgetKiB} KiB`,
    );
  }
  if (ffi) copyAddon(entry, dirname(outfile));
  console.log(`${outfile}: ${Math.ceil(size / 1024)} KiB of ${budgetKiB} KiB`);
}

/**
 * Copies the ffi-rs addon of this platform from node_modules into `directory`.
 * @param {string} entry
 * @param {string} directory
 */
function copyAddon(entry, directory) {
  const linux = createRequire(createRequire(join(process.cwd(), entry)).resolve("@cm4all/linux"));
  const ffi = createRequire(linux.resolve("ffi-rs"));
  const libc = "gnu";
  const addonPackage = `@yuuang/ffi-rs-linux-${process.arch}-${libc}`;
  const packageDirectory = dirname(ffi.resolve(`${addonPackage}/package.json`));
  for (const name of readdirSync(packageDirectory))
    if (name.endsWith(".node"))
      copyFileSync(join(packageDirectory, name), join(directory, basename(name)));
}
