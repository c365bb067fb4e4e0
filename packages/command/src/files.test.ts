import { spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  constants,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  watch,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { CommandFailure } from "./failure.ts";
import { fileFailure, isErrno, replaceFile } from "./files.ts";
import { openRegularFile, readRegularFile } from "./regular-file.ts";
import { EX_DATAERR, EX_NOINPUT, EX_OSERR } from "./sysexits.ts";

let directory: string;
beforeEach(() => {
  directory = realpathSync(mkdtempSync(join(tmpdir(), "command-files-")));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

describe("replaceFile", () => {
  it("makes and replaces a file, with the given mode", () => {
    const path = join(directory, "f");
    replaceFile(path, "one\n", 0o644);
    replaceFile(path, "two\n", 0o666);
    expect(readFileSync(path, "utf8")).toBe("two\n");
    expect(statSync(path).mode & 0o777).toBe(0o666);
    expect(readdirSync(directory)).toEqual(["f"]);
  });

  it("creates a new inode, so that processes that have the old file open keep it", () => {
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

  it("writes bytes, and sets a given owner", () => {
    const path = join(directory, "f");
    const root = process.getuid?.() === 0;
    const owner = root ? { uid: 54321, gid: 54322 } : statSync(directory);
    replaceFile(path, Buffer.from([0xff, 0x00]), 0o4640, owner);
    expect(readFileSync(path)).toEqual(Buffer.from([0xff, 0x00]));
    // The mode is set after the owner, because chown(2) clears the set-uid bit.
    expect(statSync(path)).toMatchObject({ uid: owner.uid, gid: owner.gid });
    expect(statSync(path).mode & 0o7777).toBe(0o4640);
  });

  it.each(["f".repeat(255), "ä".repeat(127)])("accepts the longest names", (name) => {
    replaceFile(join(directory, name), "one\n", 0o644);
    expect(readdirSync(directory)).toEqual([name]);
  });

  it("leaves nothing behind when it fails", () => {
    mkdirSync(join(directory, "f"));
    expect(() => replaceFile(join(directory, "f"), "new\n", 0o644)).toThrow(/EISDIR/);
    expect(readdirSync(directory)).toEqual(["f"]);
  });
});

describe("the temporary file of replaceFile", () => {
  const old = new Date(Date.now() - 3_600_000);
  const leave = (name: string, when = old) => {
    writeFileSync(join(directory, name), "rubbish");
    utimesSync(join(directory, name), when, when);
  };

  it("has a different name each time, so that a leftover does no harm", async () => {
    const names = new Set<string>();
    const watcher = watch(directory, (_, name) => names.add(String(name)));
    for (let i = 0; i < 3; i++) replaceFile(join(directory, "f"), "new\n", 0o644);
    await vi.waitFor(() => expect(names.size).toBe(4));
    watcher.close();
  });

  it("is removed by a later run if it was left behind, and no other file is", () => {
    for (const name of [".f.0123456789ab.new", ".f.000000000000.new"]) leave(name);
    leave(".f.0123456789aa.new", new Date());
    const others = [".f.1", ".f.x", ".f.swp", ".fa.0123456789ab.new", ".f.0123456789a.new", ".g.1"];
    for (const name of others) leave(name);
    const kept = [...others, ".f.0123456789aa.new", ".f.222222222222.new", ".f.333333333333.new"];
    mkdirSync(join(directory, ".f.222222222222.new"));
    symlinkSync("nowhere", join(directory, ".f.333333333333.new"));
    replaceFile(join(directory, "f"), "new\n", 0o644);
    expect(readdirSync(directory).sort()).toEqual([...kept, "f"].sort());
  });
});

describe("readRegularFile", () => {
  it("reads a file as large as the limit, and refuses a larger one", () => {
    const path = join(directory, "f");
    writeFileSync(path, "x".repeat(200_000));
    expect(readRegularFile(path, 200_000).toString()).toBe("x".repeat(200_000));
    expect(() => readRegularFile(path, 199_999)).toThrow("it has more than 199999 bytes");
    writeFileSync(path, "");
    expect(readRegularFile(path, 0)).toEqual(Buffer.alloc(0));
  });

  it("reads a file whose reported size is 0", () => {
    expect(readRegularFile("/proc/self/status", 100_000).toString()).toContain("Name:");
  });

  it("refuses a file of 5 GiB without reading all of it", () => {
    const path = join(directory, "f");
    writeFileSync(path, "");
    truncateSync(path, 5 * 1024 ** 3);
    expect(() => readRegularFile(path, 1000)).toThrow("it has more than 1000 bytes");
  });

  it("does not block, and refuses anything but a regular file", () => {
    const fifo = join(directory, "fifo");
    expect(spawnSync("mkfifo", [fifo]).status).toBe(0);
    for (const path of [fifo, directory, "/dev/null", "/dev/zero"])
      expect(() => readRegularFile(path, 1000)).toThrow(`${path}: it is not a regular file`);
    let failure: unknown;
    try {
      readRegularFile(fifo, 1000);
    } catch (error) {
      failure = fileFailure("cannot read it", error);
    }
    expect(failure).toMatchObject({
      message: "cannot read it: it is not a regular file",
      exitStatus: EX_DATAERR,
    });
  });

  it("does not even open anything else, because that has an effect on some devices", async () => {
    // The kernel does not open sockets: it would report ENXIO.
    const path = join(directory, "socket");
    const server = createServer().listen(path);
    await once(server, "listening");
    expect(() => readRegularFile(path, 1000)).toThrow(`${path}: it is not a regular file`);
    server.close();
  });

  it("names the path in the error of a call", () => {
    const path = join(directory, "missing");
    expect(() => readRegularFile(path, 1000)).toThrow(
      `ENOENT: no such file or directory, open '${path}'`,
    );
    symlinkSync("missing", join(directory, "link"));
    expect(() => openRegularFile(join(directory, "link"), constants.O_NOFOLLOW)).toThrow(
      `ELOOP: too many symbolic links encountered, open '${join(directory, "link")}'`,
    );
  });
});

describe("fileFailure", () => {
  it("names the error of the call, and what was attempted", () => {
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

  it("does not blame the file if descriptors are short", () => {
    const short = Object.assign(new Error("EMFILE: too many open files"), { errno: -24 });
    expect(fileFailure("cannot read it", short)).toMatchObject({ exitStatus: EX_OSERR });
  });

  it("returns a defect unchanged", () => {
    const defect = new TypeError("oops");
    expect(fileFailure("cannot read it", defect)).toBe(defect);
  });
});
