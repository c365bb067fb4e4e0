import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { tryLockJournal } from "./lock.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "journal-lock-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

/** Tries to lock the directory in another process. Returns 0 if that succeeds. @see flock(1) */
const others = () => spawnSync("flock", ["--nonblock", directory, "true"]).status;

it("a lock has one owner at a time, in this process and in others", () => {
  const lock = tryLockJournal(directory);
  expect(tryLockJournal(directory)).toBeUndefined();
  expect(others()).toBe(1);
  lock?.close();
  expect(others()).toBe(0);
  tryLockJournal(directory)?.close();
  expect(lock).toBeDefined();
});

it("locking fails if the directory is missing or is a file", () => {
  expect(() => tryLockJournal(join(directory, "missing"))).toThrow("ENOENT");
  writeFileSync(join(directory, "file"), "");
  expect(() => tryLockJournal(join(directory, "file"))).toThrow("ENOTDIR");
});
