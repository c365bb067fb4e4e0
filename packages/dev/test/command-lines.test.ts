/** Tests that our own tools answer a wrong command line with one line, and no stack trace. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, it } from "vitest";
import { EX_USAGE, root } from "../setup.mjs";

const E2E = "packages/e2e/run.mjs";
const MUTATE = "packages/dev/mutation/mutate.mjs";

it.each([
  [MUTATE, "--nonsense"],
  [MUTATE, "--seconds=soon"],
  [MUTATE, "nonsense"],
  ["packages/dev/run.mjs", "test nonsense"],
  ["packages/dev/fuzz.mjs", "nonsense 1"],
  ["packages/e2e/release.mjs", "nonsense"],
  ["packages/e2e/release.mjs", "--nonsense"],
  [E2E, "--nonsense"],
  [E2E, "nonsense"],
  [E2E, "--suite nonsense"],
  [E2E, "--arch nonsense"],
  [E2E, "--bare nonsense"],
  [E2E, "--bare trixie nonsense"],
  [E2E, "--bare trixie --node nonsense"],
  [E2E, "--bare trixie --commands start,nonsense"],
  ["packages/deb/build-packages.mjs", "--nonsense"],
])("%s %s prints one line and ends with EX_USAGE", (program, args) => {
  const run = spawnSync(process.execPath, [join(root, program), ...args.split(" ")], {
    encoding: "utf8",
  });
  const line = expect.stringMatching(/^.*(nonsense|soon).*\n$/);
  expect(run).toMatchObject({ status: EX_USAGE, stdout: "", stderr: line });
});

it("npm test -- --help lists the packages, and installs nothing", () => {
  const run = spawnSync(process.execPath, [join(root, "packages/dev/run.mjs"), "test", "--help"], {
    encoding: "utf8",
  });
  const stdout = expect.stringMatching(/^arguments: \[PACKAGE.*\npackages: .*spawn.*\n$/);
  expect(run).toMatchObject({ status: 0, stdout, stderr: "" });
});
