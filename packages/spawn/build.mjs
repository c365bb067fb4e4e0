import { bundle } from "@cm4all/dev/bundle";

await bundle({
  entry: "src/main.ts",
  outfile: "dist/cm4all-spawn.js",
  budgetKiB: 1300,
  ffi: true,
  nodeOptions: [
    // MB, of each thread, for objects that die young. By V8's own choice (16) the daemon grows
    // by 60 MB while thousands of cgroups run empty, and is no faster.
    "--max-semi-space-size=1",
    // For freeMemory().
    "--expose-gc",
  ],
});
