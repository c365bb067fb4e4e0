// @ts-check
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const root = fileURLToPath(new URL("../../", import.meta.url));

/**
 * The time limit of a test, in milliseconds. It is generous, for a busy machine: a test that hangs
 * exceeds any limit.
 */
const testTimeout = 60_000;

/** Sets time limits for commands that a test runs synchronously. */
const setupFiles = [fileURLToPath(new URL("limits.mjs", import.meta.url))];

/** The tests of a package beside its sources, which need neither a build nor root. */
export const unitTests = {
  name: "unit",
  include: ["src/**/*.test.ts"],
  setupFiles,
  pool: /** @type {const} */ ("forks"),
  testTimeout,
};

/** @param {string} name @param {readonly string[]} include @param {Record<string, string>} [env] */
const systemTests = (name, include, env = {}) => ({
  test: {
    name,
    include: [...include],
    env,
    setupFiles,
    pool: /** @type {const} */ ("forks"),
    fileParallelism: false,
    testTimeout,
    hookTimeout: 60_000,
  },
});

/**
 * Returns the configuration for the two kinds of tests of a package: those beside the sources, and
 * those below `test/`, which may need a build, root or a daemon, and run one file at a time.
 * @param {readonly string[]} alsoWithoutAddon tests that are run a second time, with all system
 *   calls through ffi-rs
 */
export function testConfig(alsoWithoutAddon = []) {
  return defineConfig({
    test: {
      projects: [
        { test: unitTests },
        systemTests("system", ["test/**/*.test.ts"]),
        ...(alsoWithoutAddon.length === 0
          ? []
          : [systemTests("ffi-rs", alsoWithoutAddon, { CM4ALL_WITHOUT_ADDON: "1" })]),
      ],
      passWithNoTests: true,
      // Only with `--coverage`. Processes that a test starts are not covered.
      coverage: {
        provider: "v8",
        include: ["src/**/*.ts"],
        exclude: ["**/*.test.ts"],
        reporter: ["text", "html"],
        reportsDirectory: `${root}.data/coverage/${basename(process.cwd())}`,
      },
    },
  });
}

export default testConfig();
