import { execFileSync } from "node:child_process";
import {
  chmodSync,
  closeSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { writeReport } from "./report-file.ts";

describe("writeReport", () => {
  let directory: string;
  let file: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "report-file-"));
    file = join(directory, "report.html");
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const text = Buffer.from("new");

  it("writes a file with mode 0600, even over a file with another mode", () => {
    writeFileSync(file, "old");
    chmodSync(file, 0o644);
    writeReport(file, text);
    expect(readFileSync(file, "utf8")).toBe("new");
    expect(statSync(file).mode & 0o7777).toBe(0o600);
    expect(readdirSync(directory)).toEqual(["report.html"]);
  });

  it("replaces a symbolic link, even a dangling link or a link to a device", () => {
    const other = join(directory, "other");
    writeFileSync(other, "old");
    for (const target of [other, "/nowhere/x", "/dev/null"]) {
      symlinkSync(target, file);
      writeReport(file, text);
      expect(lstatSync(file).isFile()).toBe(true);
      rmSync(file);
    }
    expect(readFileSync(other, "utf8")).toBe("old");
  });

  it("appends to a file whose path is that of an open descriptor, such as /dev/fd/3", () => {
    const fd = openSync(file, "a");
    try {
      const link = readlinkSync(`/dev/fd/${fd}`);
      writeReport(`/dev/fd/${fd}`, text);
      expect(readlinkSync(`/dev/fd/${fd}`)).toBe(link);
      writeReport(`/proc/self/fd/${fd}`, text);
    } finally {
      closeSync(fd);
    }
    expect(readFileSync(file, "utf8")).toBe("newnew");
  });

  it("writes to a FIFO", () => {
    execFileSync("mkfifo", [file]);
    // Linux opens a FIFO for reading and writing without blocking.
    const fd = openSync(file, "r+");
    try {
      writeReport(file, text);
      expect(lstatSync(file).isFIFO()).toBe(true);
    } finally {
      closeSync(fd);
    }
  });

  it.each([
    ["a directory", () => mkdirSync(file), /report\.html: EISDIR/],
    ["a missing directory", () => rmSync(directory, { recursive: true }), /report\.html: ENOENT/],
  ])("reports why it cannot write to %s", (_, prepare, message) => {
    prepare();
    try {
      expect(() => writeReport(file, text)).toThrow(
        expect.objectContaining({ message: expect.stringMatching(message), exitStatus: 73 }),
      );
    } finally {
      mkdirSync(directory, { recursive: true });
    }
  });
});
