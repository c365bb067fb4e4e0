/** Tests the process that runs a file's tests with one version of the file after another. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "trial-"));
  mkdirSync(join(directory, "src"));
  symlinkSync(join(import.meta.dirname, "../node_modules"), join(directory, "node_modules"));
});

afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

function write(name: string, text: string): string {
  const file = join(directory, "src", name);
  writeFileSync(file, text);
  return file;
}

/** For each version of a file, returns the name of the test that fails, or undefined. */
async function failures(file: string, order: readonly string[], texts: readonly string[]) {
  // The durations determine the order of the test files and the time limits, which even a busy
  // machine does not reach.
  const durations = Object.fromEntries(order.map((test, i) => [test, 60_000 + i]));
  const trial = join(import.meta.dirname, "../mutation/trial.mjs");
  const child = fork(trial, [directory, file, JSON.stringify(durations)], { cwd: directory });
  try {
    const failed: unknown[] = [];
    for (const text of texts) {
      child.send(text);
      const [result] = await once(child, "message");
      failed.push(result.failed);
    }
    return failed;
  } finally {
    child.kill("SIGKILL");
  }
}

it("a version passes the tests even if the previous one failed", async () => {
  const text = "export const one = 1;\n";
  const file = write("a.ts", text);
  const begin = 'import { expect, it } from "vitest";\nimport { one } from "./a.ts";\n';
  const first = write(
    "first.test.ts",
    `${begin}it("is a number", () => expect(one).toBeTypeOf("number"));\n`,
  );
  const second = write("second.test.ts", `${begin}it("is one", () => expect(one).toBe(1));\n`);
  const texts = [text, text.replace("1", "2"), text, text.replace("1", '""')];
  expect(await failures(file, [first, second], texts)).toEqual([
    undefined,
    "is one",
    undefined,
    "is a number",
  ]);
});
