import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { bundle } from "@cm4all/dev/bundle";
import { importSource } from "@cm4all/dev/import-source";

await bundle({
  entry: "src/main.ts",
  outfile: "dist/cm4all-spawn.js",
  budgetKiB: 750,
  ffi: true,
  // By default, V8 collects garbage on additional threads. On a busy machine, these threads take
  // CPU time from the spawners, or the namespace service waits up to 4 ms for a thread that gets no
  // CPU. The option cannot be set later: after setFlagsFromString(), the next collection fails an
  // assertion.
  nodeOptions: ["--single-threaded-gc"],
});

// A separate program, so that the daemon's threads do not load fengari (the Lua interpreter), and
// the script host does not load the daemon's code.
await bundle({
  entry: "src/accounting/script/host-main.ts",
  outfile: "dist/cm4all-spawn-script-host.js",
  budgetKiB: 750,
  ffi: true,
});

// A separate program, so that reports run without the daemon's code and privileges.
await bundle({
  entry: "src/report/main.ts",
  outfile: "dist/cm4all-spawn-report.js",
  budgetKiB: 250,
});

// The JSON Schemas of the commands' output, for authors of other programs.
const { formatSchemas } = await importSource("src/operator/schemas.ts");
if (typeof formatSchemas !== "function") throw new Error("schemas.ts exports no formatSchemas");
rmSync("dist/schema", { recursive: true, force: true });
mkdirSync("dist/schema");
for (const [file, text] of Object.entries(formatSchemas()))
  writeFileSync(`dist/schema/${file}`, text);
