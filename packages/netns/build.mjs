// @ts-check
import { readFileSync, writeFileSync } from "node:fs";
import { bundle } from "@cm4all/dev/bundle";

/**
 * Node forgets which signals it was started to ignore, as nohup(1) does it, before any
 * JavaScript runs. So a shell looks first, where a command is to inherit that. The file is
 * a script of both languages: to JavaScript the two lines are strings and comments.
 */
const launcher = (/** @type {string} */ options) => `#!/bin/sh
':' //; [ "$1" != exec ] || while read -r key value; do [ "$key" != SigIgn: ] || export CM4ALL_SIGIGN="$value"; done </proc/$$/status
':' //; exec /usr/bin/env node ${options} "$0" "$@"
`;

const outfile = "dist/cm4all-spawn-netns.js";
await bundle({
  entry: "src/main.ts",
  outfile,
  budgetKiB: 450,
  ffi: true,
});

const source = readFileSync(outfile, "utf8");
const [shebang, options] = /^#!\/usr\/bin\/env -S node (.*)\n/.exec(source) ?? [];
if (shebang === undefined || options === undefined)
  throw new Error(`${outfile}: the first line is not what it was`);
// In place, which keeps its mode.
writeFileSync(outfile, launcher(options) + source.slice(shebang.length));
