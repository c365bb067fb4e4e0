// @ts-check
/** Builds life.ts, the program that the tests on a real disk run. */
import { bundle } from "@cm4all/dev/bundle";

await bundle({ entry: "test/life.ts", outfile: "dist/test/life.js", budgetKiB: 400, ffi: true });
