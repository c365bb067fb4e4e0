// @ts-check
import { bundle } from "@cm4all/dev/bundle";

await bundle({
  entry: "src/main.ts",
  outfile: "dist/cm4all-slice.js",
  budgetKiB: 270,
});
