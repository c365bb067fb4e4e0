import { bundle } from "@cm4all/dev/bundle";

await bundle({
  entry: "src/main.ts",
  outfile: "dist/cm4all-spawn-netns.js",
  budgetKiB: 320,
  ffi: true,
  keepsIgnoredSignals: "exec",
});
