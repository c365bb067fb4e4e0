import { bundle } from "@cm4all/dev/bundle";

await bundle({ entry: "src/main.ts", outfile: "dist/bench.js", budgetKiB: 50 });
