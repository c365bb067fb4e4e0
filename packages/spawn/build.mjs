import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { bundle } from "@cm4all/dev/bundle";
import { importSource } from "@cm4all/dev/import-source";

await bundle({
  entry: "src/main.ts",
  outfile: "dist/cm4all-spawn.js",
  budgetKiB: 1300,
  ffi: true,
});

// The JSON Schemas, for those who write programs.
const { formatSchemas } = await importSource("src/operator/schemas.ts");
rmSync("dist/schema", { recursive: true, force: true });
mkdirSync("dist/schema");
for (const [file, text] of Object.entries(formatSchemas()))
  writeFileSync(`dist/schema/${file}`, text);
