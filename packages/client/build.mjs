import { bundle } from "@cm4all/dev/bundle";
import { library } from "@cm4all/dev/library";

await bundle({
  entry: "src/main.ts",
  outfile: "dist/cm4all-spawn-client.js",
  budgetKiB: 200,
  ffi: true,
  keepsIgnoredSignals: "run",
});
await library({
  entry: "src/index.ts",
  outfile: "dist/library/index.js",
  tsconfig: "tsconfig.library.json",
  external: ["ffi-rs"],
});
