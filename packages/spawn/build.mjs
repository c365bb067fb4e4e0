import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { bundle } from "@cm4all/dev/bundle";
import { importSource } from "@cm4all/dev/import-source";

await bundle({
  entry: "src/main.ts",
  outfile: "dist/cm4all-spawn.js",
  budgetKiB: 750,
  ffi: true,
  // V8 would collect garbage with threads of its own as well. On a busy machine they take the CPU
  // from a spawner, or the namespace service waits for one that has none: for up to 4 ms. V8 cannot
  // be told later: setFlagsFromString() ends in a failed check of the next collection.
  nodeOptions: ["--single-threaded-gc"],
});

// A separate program, so that the daemon's threads do not load fengari, nor the host the daemon.
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

// The JSON Schemas, for authors of other programs.
const { formatSchemas } = await importSource("src/operator/schemas.ts");
if (typeof formatSchemas !== "function") throw new Error("schemas.ts exports no formatSchemas");
rmSync("dist/schema", { recursive: true, force: true });
mkdirSync("dist/schema");
for (const [file, text] of Object.entries(formatSchemas()))
  writeFileSync(`dist/schema/${file}`, text);
