// @ts-check
/** Builds the program of the tests on a real disk. */
import { bundle } from "@cm4all/dev/bundle";

await bundle({ entry: "test/life.ts", outfile: "dist/test/life.js", budgetKiB: 400, ffi: true });
