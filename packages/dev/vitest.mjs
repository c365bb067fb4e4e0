// @ts-check
import { defineConfig } from "vitest/config";

/**
 * The two kinds of tests of a package: pure ones beside the source, and those
 * that need a kernel, a daemon or a built bundle below `test/`, one file at a time.
 */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["src/**/*.test.ts"],
          pool: "forks",
          // Properties are tried with many values, and the machine may be busy.
          testTimeout: 60_000,
        },
      },
      {
        test: {
          name: "system",
          include: ["test/**/*.test.ts"],
          pool: "forks",
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
    passWithNoTests: true,
  },
});
