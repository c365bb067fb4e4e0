import { bundle } from "@cm4all/dev/bundle";

await bundle({ entry: "src/main.ts", outfile: "dist/start.js", budgetKiB: 250, stays: true });
