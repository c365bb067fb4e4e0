/** Tests that the error of a test names the command that hangs. */
import { execFileSync, execSync, spawnSync } from "node:child_process";
import { expect, it } from "vitest";

const HANG = ["-c", "echo so far; exec sleep 1000"];

it.for([
  ["spawnSync", () => spawnSync("sh", HANG)],
  ["spawnSync with options", () => spawnSync("sh", HANG, { encoding: "utf8" })],
  ["execFileSync", () => execFileSync("sh", HANG)],
  ["execSync", () => execSync(`sh ${HANG[0]} '${HANG[1]}'`, { encoding: "utf8" })],
] as const)("%s reports which command hangs, and its output", ([, wait], { task }) => {
  // Only limits.mjs uses this value: for Vitest, the limit at the start of the test counts.
  task.timeout = 400;
  expect(wait).toThrow(/^sh -c .*sleep 1000'?: did not end within 0.36 s; .*so far\n$/);
});

it("leaves a limit of the caller alone", () => {
  const { error, signal } = spawnSync("sh", HANG, { timeout: 100 });
  expect([error, signal]).toMatchObject([{ code: "ETIMEDOUT" }, "SIGTERM"]);
});

it("leaves results and failures as they are", () => {
  expect(spawnSync("sh", ["-c", "echo a; exit 3"], { encoding: "utf8" })).toMatchObject({
    status: 3,
    stdout: "a\n",
  });
  expect(execSync("cat", { input: "b", encoding: "utf8" })).toBe("b");
  expect(() => execFileSync("sh", ["-c", "exit 4"])).toThrow("Command failed");
  expect(spawnSync("/nonexistent").error).toMatchObject({ code: "ENOENT" });
});
