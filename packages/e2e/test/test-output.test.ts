import { expect, it } from "vitest";
import { parseFailures, parseTestOutput, total } from "../bare/test-output.mjs";

/** Output as turbo and vitest print it, without colours. */
const OUTPUT = `@cm4all/deb:test:  ✓  system  test/packages.test.ts (12 tests) 62790ms
@cm4all/deb:test:
@cm4all/deb:test:  Test Files  1 passed (1)
@cm4all/deb:test:       Tests  12 passed (12)
@cm4all/deb:test:    Start at  21:51:00
@cm4all/deb:test:    Duration  63.30s (transform 164ms, setup 0ms, import 217ms, tests 62.79s)
@cm4all/deb:test: Tests closed successfully but something prevents the process from exiting
@cm4all/slice:build: dist/cm4all-slice.js: 170 KiB of 200 KiB
@cm4all/slice:test:  Test Files  1 failed | 9 passed (10)
@cm4all/slice:test:       Tests  1 failed | 230 passed | 3 skipped (234)
@cm4all/slice:test:    Duration  850ms (transform 696ms, setup 0ms)
`;

it("returns the counts and the duration of each package", () => {
  expect([...parseTestOutput(OUTPUT)]).toEqual([
    ["@cm4all/deb", { passed: 12, failed: 0, skipped: 0, seconds: 63.3 }],
    ["@cm4all/slice", { passed: 230, failed: 1, skipped: 3, seconds: 0.85 }],
  ]);
});

it("adds up the counts", () => {
  expect(total(parseTestOutput(OUTPUT).values())).toMatchObject({
    passed: 242,
    failed: 1,
    skipped: 3,
  });
});

it("finds nothing if no test ran", () => {
  expect(parseTestOutput("npm ERR! code ENOTFOUND\n").size).toBe(0);
});

it("finds the messages about failed tests, and nothing else", () => {
  const text = `@cm4all/slice:test:  ✓  system  test/verify.test.ts (5 tests) 2579ms
@cm4all/slice:test:
@cm4all/slice:test: ⎯⎯⎯⎯⎯⎯⎯ Failed Tests 1 ⎯⎯⎯⎯⎯⎯⎯
@cm4all/slice:test:
@cm4all/deb:test:  ✓  system  test/packages.test.ts (12 tests) 62790ms
@cm4all/slice:test:  FAIL   system  test/limits.test.ts > a limit > is there
@cm4all/slice:test: AssertionError: expected null to be +0
@cm4all/slice:test:
@cm4all/slice:test:  Test Files  1 failed | 9 passed (10)
@cm4all/slice:test:       Tests  1 failed | 230 passed (231)
`;
  expect(parseFailures(text)).toEqual([
    "@cm4all/slice:  FAIL   system  test/limits.test.ts > a limit > is there",
    "@cm4all/slice: AssertionError: expected null to be +0",
  ]);
});
