import { constants, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { DiskDirectory, type JournalFile } from "./directory.ts";

let path: string;
let directory: DiskDirectory;
beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), "journal-directory-"));
  directory = new DiskDirectory(path);
});
afterEach(() => rmSync(path, { recursive: true }));

/** Returns the flags with which this process has opened a file. @see proc_pid_fdinfo(5) */
function openFlags(name: string): number {
  for (const fd of readdirSync("/proc/self/fd")) {
    try {
      if (readlinkSync(`/proc/self/fd/${fd}`) !== join(path, name)) continue;
    } catch {
      // It was the descriptor of readdir, which is closed by now.
      continue;
    }
    const [, flags = ""] =
      /^flags:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "utf8")) ?? [];
    return Number.parseInt(flags, 8);
  }
  throw new Error(`${name} is not open`);
}

async function expectSynced(name: string, file: JournalFile): Promise<void> {
  try {
    expect(openFlags(name) & constants.O_DSYNC).toBe(constants.O_DSYNC);
  } finally {
    await file.close();
  }
}

it("opens files so that a write returns only when its bytes are on the disk", async () => {
  await expectSynced("new", await directory.create("new"));
  await expectSynced("new", await directory.reopen("new"));
});
