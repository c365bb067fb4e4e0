import { bundle } from "@cm4all/dev/bundle";

await bundle({
  entry: "src/main.ts",
  outfile: "dist/cm4all-spawn.js",
  budgetKiB: 1300,
  ffi: true,
});

// A program of its own: a report has none of the daemon's code, and none of its rights.
await bundle({
  entry: "src/report/main.ts",
  outfile: "dist/cm4all-spawn-report.js",
  budgetKiB: 250,
});
