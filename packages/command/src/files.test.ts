import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CommandFailure } from "./failure.ts";
import { belowRoot, fileFailure, isErrno, replaceFile } from "./files.ts";
import { EX_NOINPUT } from "./sysexits.ts";

let directory: string;
beforeEach(() => {
  directory = realpathSync(mkdtempSync(join(tmpdir(), "command-files-")));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

describe("replaceFile", () => {
  it("makes and replaces a file, with the mode asked for", () => {
    const path = join(directory, "f");
    replaceFile(path, "one\n", 0o644);
    replaceFile(path, "two\n", 0o666);
    expect(readFileSync(path, "utf8")).toBe("two\n");
    expect(statSync(path).mode & 0o777).toBe(0o666);
    expect(readdirSync(directory)).toEqual(["f"]);
  });

  it("leaves the old file to those who have it open: it is another file", () => {
    const path = join(directory, "f");
    writeFileSync(path, "one\n");
    const before = statSync(path).ino;
    replaceFile(path, "two\n", 0o644);
    expect(statSync(path).ino).not.toBe(before);
  });

  it("replaces a symbolic link and leaves its target alone", () => {
    const target = join(directory, "target");
    writeFileSync(target, "target\n");
    symlinkSync(target, join(directory, "f"));
    replaceFile(join(directory, "f"), "new\n", 0o644);
    expect(lstatSync(join(directory, "f")).isFile()).toBe(true);
    expect(readFileSync(target, "utf8")).toBe("target\n");
  });

  it("writes bytes, and keeps an owner that it is told", () => {
    const path = join(directory, "f");
    const root = process.getuid?.() === 0;
    const owner = root ? { uid: 54321, gid: 54322 } : statSync(directory);
    replaceFile(path, Buffer.from([0xff, 0x00]), 0o4640, owner);
    expect(readFileSync(path)).toEqual(Buffer.from([0xff, 0x00]));
    // The mode after the owner: chown(2) takes the set-uid bit away.
    expect(statSync(path)).toMatchObject({ uid: owner.uid, gid: owner.gid });
    expect(statSync(path).mode & 0o7777).toBe(0o4640);
  });

  it("leaves nothing behind when it fails", () => {
    mkdirSync(join(directory, "f"));
    expect(() => replaceFile(join(directory, "f"), "new\n", 0o644)).toThrow(/EISDIR/);
    expect(readdirSync(directory)).toEqual(["f"]);
  });
});

describe("fileFailure", () => {
  it("names the call's error and what was done", () => {
    let failure: unknown;
    try {
      readFileSync(join(directory, "missing"));
    } catch (error) {
      expect(isErrno(error, "EACCES")).toBe(false);
      expect(isErrno(error, "EACCES", "ENOENT")).toBe(true);
      failure = fileFailure("cannot read it", error);
    }
    expect(failure).toBeInstanceOf(CommandFailure);
    expect(failure).toMatchObject({
      message: "cannot read it: ENOENT: no such file or directory",
      exitStatus: EX_NOINPUT,
    });
  });

  it("leaves a defect alone", () => {
    const defect = new TypeError("oops");
    expect(fileFailure("cannot read it", defect)).toBe(defect);
  });
});

describe("belowRoot", () => {
  it("is the path itself without a root", () => {
    expect(belowRoot(undefined, "/etc/x")).toBe("/etc/x");
  });

  it("is the path in the tree, whether it exists or not", () => {
    mkdirSync(join(directory, "etc"));
    expect(belowRoot(directory, "/etc")).toBe(join(directory, "etc"));
    expect(belowRoot(directory, "/etc/a/b")).toBe(join(directory, "etc/a/b"));
    expect(belowRoot(directory, "/../etc/a")).toBe(join(directory, "etc/a"));
    expect(belowRoot("/", "/etc/a/b")).toBe("/etc/a/b");
  });

  it("follows links that stay in the tree", () => {
    mkdirSync(join(directory, "usr/lib"), { recursive: true });
    symlinkSync("usr/lib", join(directory, "lib"));
    expect(belowRoot(directory, "/lib/systemd")).toBe(join(directory, "lib/systemd"));
  });

  it.each(["/usr", "../.."])("refuses a link to %s", (target) => {
    symlinkSync(target, join(directory, "etc"));
    expect(() => belowRoot(directory, "/etc/x")).toThrow(/leads out of/);
  });

  it("refuses a root that is not there", () => {
    expect(() => belowRoot(join(directory, "no"), "/etc")).toThrow(/cannot use the root directory/);
  });

  it("refuses a file where a directory should be", () => {
    writeFileSync(join(directory, "etc"), "");
    expect(() => belowRoot(directory, "/etc/x/y")).toThrow(/ENOTDIR/);
  });
});
