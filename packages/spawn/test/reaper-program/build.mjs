// @ts-check
/** Bundles the reaper's test program, because a worker thread has to start from a file. */
import { bundle } from "@cm4all/dev/bundle";

await bundle({
  entry: "test/reaper-program/main.ts",
  outfile: "dist/test/reaper.js",
  budgetKiB: 200,
  ffi: true,
});
