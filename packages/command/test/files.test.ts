/** Tests that need several users. */
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { missing } from "@cm4all/testing";
import { expect, it, onTestFinished } from "vitest";
import { replaceFile } from "../src/files.ts";

it.skipIf(missing("root") !== undefined)(
  "a file is replaced although an old temporary file belongs to another user",
  () => {
    // With the sticky bit, only the owner of a file may remove it.
    const directory = mkdtempSync(join(tmpdir(), "command-files-"));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    chmodSync(directory, 0o1777);
    const leftover = join(directory, ".f.0123456789ab.new");
    writeFileSync(leftover, "rubbish");
    utimesSync(leftover, 0, 0);
    process.seteuid?.(54321);
    try {
      replaceFile(join(directory, "f"), "new\n", 0o644);
    } finally {
      process.seteuid?.(0);
    }
    expect(readdirSync(directory).sort()).toEqual([".f.0123456789ab.new", "f"]);
    expect(readFileSync(join(directory, "f"), "utf8")).toBe("new\n");
  },
);
