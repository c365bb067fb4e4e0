// @ts-check
import { defineConfig } from "vitest/config";

/** For a machine that has other things to do: a test that hangs does so for ever. */
const testTimeout = 60_000;

/**
 * The two kinds of tests of a package: pure ones beside the source, and those
 * that need a kernel, a daemon or a built bundle below `test/`, one file at a time.
 */
export default defineConfig({
  test: {
    projects: [
      { test: { name: "unit", include: ["src/**/*.test.ts"], pool: "forks", testTimeout } },
      {
        test: {
          name: "system",
          include: ["test/**/*.test.ts"],
          pool: "forks",
          fileParallelism: false,
          testTimeout,
          hookTimeout: 60_000,
        },
      },
    ],
    passWithNoTests: true,
  },
});
