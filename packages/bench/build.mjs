import { bundle } from "@cm4all/dev/bundle";

await bundle({
  entry: "src/main.ts",
  outfile: "dist/bench.js",
  budgetKiB: 1000,
  ffi: true,
  stays: true,
});
