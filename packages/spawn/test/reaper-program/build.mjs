// @ts-check
/** Bundles the program of the reaper's tests, because a worker starts from a file. */
import { bundle } from "@cm4all/dev/bundle";

await bundle({
  entry: "test/reaper-program/main.ts",
  outfile: "dist/test/reaper.js",
  budgetKiB: 200,
  ffi: true,
});
