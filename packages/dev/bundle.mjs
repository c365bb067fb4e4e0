// @ts-check
/**
 * Bundles a program into one executable `.js` file that needs no node_modules. A program that makes
 * system calls needs the addon of ffi-rs beside it, and is faster with the addon of packages/linux.
 * The addons are ELF objects, which no bundler can inline, so they are copied next to the bundle.
 * Call this in the package's directory. `__VERSION__` becomes the suite's version.
 */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { build } from "esbuild";
import { architectures, syscallAddon } from "./architecture.mjs";
import { launcher } from "./launcher.mjs";

const suite = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));

/**
 * SIGUSR1 makes Node open its debugger on 127.0.0.1, where every local user can run code in a
 * program that runs as root. Node 20 has no --disable-sigusr1. Until the first line of the program
 * runs, this option keeps the debugger closed: listening on an address that no host has (RFC 5737)
 * fails. From the first line on, the signal is ignored.
 */
const NO_DEBUGGER = "--inspect-port=192.0.2.1:9229";
const FIRST_LINE = '"use strict";process.on("SIGUSR1", () => {});';
/**
 * The length at which esbuild breaks lines. Lines are short because Node prints the whole line that
 * throws an uncaught exception.
 */
const LINE_LENGTH = 120;
/** For debuggers, and for `node --enable-source-maps`; the bundle is then three times as large. */
const hasSourceMaps = process.env["SOURCE_MAPS"] === "1";
/** A replacement for import.meta, which a CommonJS module does not have. */
const OWN_URL = 'const __url = require("node:url").pathToFileURL(__filename).href;';

/**
 * Bundles a program, and throws an Error if the bundle is over its budget.
 * @param {object} options
 * @param {string} options.entry     the entry module
 * @param {string} options.outfile   the bundle, below `dist/`
 * @param {number} options.budgetKiB the largest size the bundle may have
 * @param {boolean} [options.ffi]    whether the program makes system calls
 * @param {Record<string, string>} [options.loader] further esbuild loaders
 * @param {boolean} [options.stays]  whether the bundle stays in this workspace, and finds
 *                                   files there by import.meta.url
 * @param {string[]} [options.nodeOptions] options of Node that the program starts with, besides
 *                                   the one that keeps the debugger closed
 * @param {string} [options.keepsIgnoredSignals] the subcommand that runs another program, which
 *                                   is to ignore the signals that the bundle's caller ignores
 */
export async function bundle({
  entry,
  outfile,
  budgetKiB,
  ffi = false,
  loader,
  stays = false,
  nodeOptions = [],
  keepsIgnoredSignals,
}) {
  const options = [NO_DEBUGGER, ...nodeOptions].join(" ");
  const start =
    keepsIgnoredSignals === undefined
      ? `#!/usr/bin/env -S node ${options}`
      : launcher(keepsIgnoredSignals, options);
  mkdirSync(dirname(outfile), { recursive: true });
  const unfinished = `${outfile}.${process.pid}`;
  const { metafile } = await build({
    entryPoints: [entry],
    outfile: unfinished,
    bundle: true,
    platform: "node",
    target: "node20",
    // A lone `.js` file without a package.json is CommonJS to Node.
    format: "cjs",
    // Names are kept and lines are short, so that a stack trace in a log is readable.
    minifySyntax: true,
    minifyWhitespace: true,
    lineLimit: LINE_LENGTH,
    legalComments: "none",
    // Inline: the bundle is renamed below, but a separate map would keep the temporary name.
    sourcemap: hasSourceMaps ? "inline" : false,
    metafile: true,
    external: ["*.node", "@yuuang/*"],
    banner: { js: [start, FIRST_LINE, ...(stays ? [OWN_URL] : [])].join("\n") },
    define: {
      __VERSION__: JSON.stringify(suite.version),
      "import.meta.dirname": "__dirname",
      ...(stays ? { "import.meta.url": "__url" } : {}),
    },
    plugins: [ffiWithoutReport],
    ...(loader === undefined ? {} : { loader }),
  });
  // A list of the contents of the bundle, for the check of the licences.
  writeFileSync(`${outfile}.inputs.json`, JSON.stringify(Object.keys(metafile.inputs)));
  // Where a bundle is installed, there is no package.json, and Node takes the bundle for CommonJS.
  // In dist/, Node would find the package.json of our package, which has "type": "module".
  writeFileSync(join(dirname(outfile), "package.json"), '{ "type": "commonjs" }\n');
  const size = statSync(unfinished).size;
  const limit = budgetKiB * 1024;
  if (size > limit && !hasSourceMaps) {
    rmSync(unfinished);
    throw new Error(
      `${outfile}: ${Math.ceil(size / 1024)} KiB is over its budget of ${budgetKiB} KiB`,
    );
  }
  if (ffi) copyAddons(entry, dirname(outfile));
  chmodSync(unfinished, 0o755);
  renameSync(unfinished, outfile);
  console.log(`${outfile}: ${Math.ceil(size / 1024)} KiB of ${budgetKiB} KiB`);
}

/**
 * Removes a slow check: to find out which libc it runs on, ffi-rs asks for Node's complete
 * diagnostic report, which takes 4 ms at every start. The addon beside the bundle is always the one
 * for glibc.
 * @type {import("esbuild").Plugin}
 */
const ffiWithoutReport = {
  name: "ffi-rs-without-report",
  setup(build) {
    build.onLoad({ filter: /\/ffi-rs\/index\.js$/ }, ({ path }) => {
      const source = readFileSync(path, "utf8");
      const contents = source.replace("function isMusl() {", "$&\n  return false\n");
      if (contents === source) throw new Error(`${path}: isMusl() is not where it was`);
      return { contents, loader: "js" };
    });
  },
};

/**
 * Copies the addon of ffi-rs into `directory`, and the addon of packages/linux if it was built. A
 * cross-build copies the addons for two architectures: that of this machine, on which the build
 * runs the program, and the one for which it builds.
 * @param {string} entry
 * @param {string} directory
 */
function copyAddons(entry, directory) {
  const main = createRequire(join(process.cwd(), entry)).resolve("@cm4all/linux");
  const ffi = createRequire(createRequire(main).resolve("ffi-rs"));
  for (const architecture of architectures()) {
    const name = `ffi-rs.linux-${architecture}-gnu.node`;
    copyAddon(ffi.resolve(`@yuuang/ffi-rs-linux-${architecture}-gnu/${name}`), directory);
    const ours = join(dirname(main), "../dist", syscallAddon(architecture));
    if (existsSync(ours)) copyAddon(ours, directory);
    else rmSync(join(directory, basename(ours)), { force: true });
  }
}

/** @param {string} addon @param {string} directory */
function copyAddon(addon, directory) {
  // A running program may have the addon mapped, and would crash if it were overwritten in place.
  const target = join(directory, basename(addon));
  const unfinished = `${target}.${process.pid}`;
  copyFileSync(addon, unfinished);
  renameSync(unfinished, target);
}
