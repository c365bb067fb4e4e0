// @ts-check
/**
 * Runs the tests of one source file again and again, each time with a different text in place of
 * the file's own. mutate.mjs starts this process for a file, and kills it if a mutant hangs.
 * Nothing is written: a plug-in of Vite passes the text to the tests.
 *
 * Arguments: the directory of the package, the file, and the durations of the test files as JSON,
 * if they are known. The process receives versions of the file, and sends a `Result` for each.
 */
import { createVitest } from "vitest/node";
import { unitTests } from "../vitest.mjs";

/**
 * The limit of the heap: a mutant that collects more and more data has to fail before it exhausts
 * the machine's memory.
 */
const HEAP_MIB = 512;
/**
 * A test file counts as hanging if it takes longer than `times` times its duration with the
 * original text, plus `moreMs`.
 */
const HANGS_AFTER = { times: 4, moreMs: 3000 };
/** The limit while the durations are not known, in milliseconds; generous for a busy machine. */
const FIRST_LIMIT_MS = 300_000;

/** Tests below `test/` that only read files, and are the only tests of their subject. */
const QUICK_TESTS = ["test/syscall-numbers.test.ts"];

const HANGS = "hangs";

/**
 * The name of a test that failed, and the duration of each test file, in milliseconds. After a test
 * file that hangs, this process is of no further use.
 * @typedef {{ readonly failed: string | undefined, readonly durations: Record<string, number>, readonly hangs: boolean }} Result
 */

const [directory = "", file = "", known = "{}"] = process.argv.slice(2);
/** @type {string | undefined} */
let text;

const vitest = await createVitest(
  "test",
  {
    ...unitTests,
    include: [...unitTests.include, ...QUICK_TESTS],
    config: false,
    root: directory,
    watch: false,
    related: [file],
    bail: 1,
    silent: true,
    reporters: [{}],
    execArgv: [`--max-old-space-size=${HEAP_MIB}`],
  },
  {
    plugins: [{ name: "mutant", enforce: "pre", load: (id) => (id === file ? text : undefined) }],
  },
);
const specifications = await vitest.getRelevantTestSpecifications();
/** @type {Map<string, number>} */
const durations = new Map(Object.entries(JSON.parse(known)));

/** Runs the tests until one fails, the fastest file first. Returns the name of the failed test. */
async function runTests() {
  vitest.invalidateFile(file);
  specifications.sort(
    (a, b) => (durations.get(a.moduleId) ?? 0) - (durations.get(b.moduleId) ?? 0),
  );
  for (const specification of specifications) {
    const start = performance.now();
    const usualMs = durations.get(specification.moduleId);
    const limitMs =
      usualMs === undefined ? FIRST_LIMIT_MS : usualMs * HANGS_AFTER.times + HANGS_AFTER.moreMs;
    const run = await withLimit(vitest.runTestSpecifications([specification]), limitMs);
    if (run === undefined) return HANGS;
    if (usualMs === undefined) durations.set(specification.moduleId, performance.now() - start);
    // The result also has the files of earlier runs, which may have failed with another text.
    const own = run.testModules.filter(({ moduleId }) => moduleId === specification.moduleId);
    for (const testModule of own) {
      const [test] = testModule.children.allTests("failed");
      if (test !== undefined || !testModule.ok()) return test?.fullName ?? testModule.moduleId;
    }
    if (run.unhandledErrors.length > 0) return String(run.unhandledErrors[0]);
  }
  return undefined;
}

/**
 * Returns the result of `work`, or undefined if the time limit passes first.
 * @template T @param {Promise<T>} work @param {number} limitMs @returns {Promise<T | undefined>}
 */
function withLimit(work, limitMs) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => resolve(undefined), limitMs);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

process.once("disconnect", () => process.exit());
process.on("message", async (/** @type {string} */ mutant) => {
  text = mutant;
  const failed = await runTests();
  process.send?.({ failed, durations: Object.fromEntries(durations), hangs: failed === HANGS });
});
