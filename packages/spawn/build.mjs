import { bundle } from "@cm4all/dev/bundle";

await bundle({
  entry: "src/main.ts",
  outfile: "dist/cm4all-spawn.js",
  budgetKiB: 1300,
  ffi: true,
});
