import { bundle } from "@cm4all/dev/bundle";

await bundle({ entry: "src/main.ts", outfile: "dist/bench.js", budgetKiB: 50 });
await bundle({
  entry: "src/process-scan.ts",
  outfile: "dist/process-scan.js",
  budgetKiB: 150,
  ffi: true,
});
