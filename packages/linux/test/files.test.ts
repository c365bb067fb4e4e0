import { execFileSync } from "node:child_process";
import {
  closeSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it, onTestFinished } from "vitest";
import * as linux from "../src/index.ts";

const directory = mkdtempSync(join(tmpdir(), "cm4all-linux-"));
afterAll(() => rmSync(directory, { recursive: true }));

describe("Inotify", () => {
  it("reports what happens in a directory", () => {
    using inotify = new linux.Inotify();
    const wd = inotify.watch(directory, linux.IN_CREATE | linux.IN_DELETE | linux.IN_ONLYDIR);
    expect(inotify.read()).toEqual([]);
    mkdirSync(join(directory, "sub"));
    const fd = openSync(directory, "r");
    linux.removeDirectoryAt(fd, linux.bytesOfLatin1("sub"));
    expect(() => linux.removeDirectoryAt(fd, linux.bytesOfLatin1("sub"))).toThrow("ENOENT");
    closeSync(fd);
    // Each event has a header of 16 bytes, and its name with padding takes 16.
    expect([inotify.bytesRead, inotify.bytesQueued]).toEqual([0, 64]);
    expect(inotify.read()).toEqual([
      { wd, mask: (linux.IN_CREATE | linux.IN_ISDIR) >>> 0, name: "sub" },
      { wd, mask: (linux.IN_DELETE | linux.IN_ISDIR) >>> 0, name: "sub" },
    ]);
    expect([inotify.bytesRead, inotify.bytesQueued]).toEqual([64, 0]);
    expect(inotify.unwatch(wd)).toBe(true);
    expect(inotify.unwatch(wd)).toBe(false);
    expect(() => inotify.watch(join(directory, "missing"), linux.IN_CREATE)).toThrow("ENOENT");
  });
});

describe("reserveDescriptors", () => {
  /** Returns the size of the kernel's table of this process's descriptors. @see proc_pid_status(5) */
  const tableSize = () =>
    Number(/^FDSize:\t(\d+)$/m.exec(readFileSync("/proc/self/status", "latin1"))?.[1]);
  /** Changes the soft RLIMIT_NOFILE of this process. @returns the previous limit */
  function limitDescriptors(soft: string): string {
    const args = ["--pid", String(process.pid), "--nofile"];
    const before = execFileSync("prlimit", [...args, "--raw", "--noheadings", "--output=SOFT"]);
    execFileSync("prlimit", ["--pid", String(process.pid), `--nofile=${soft}:`]);
    return before.toString().trim();
  }

  it("makes room in the table as far as the limit permits, and leaves no descriptor open", () => {
    const open = readdirSync("/proc/self/fd");
    const before = limitDescriptors("1500");
    onTestFinished(() => void limitDescriptors(before));
    linux.reserveDescriptors(4096);
    expect(tableSize()).toBe(1024);
    limitDescriptors(before);
    linux.reserveDescriptors(4096);
    expect(tableSize()).toBe(4096);
    linux.reserveDescriptors(16);
    expect(tableSize()).toBe(4096);
    expect(readdirSync("/proc/self/fd")).toEqual(open);
  });
});

describe("calls relative to a directory", () => {
  const name = linux.bytesOfText("f\u00e4\n");
  const at = (path: string) => new linux.KeptPath(path);
  const openTestDirectory = () => new linux.Fd(openSync(directory, "r"));

  it("open files, read them and return their status, with names of any bytes", () => {
    const text = "\u00e4 1\n";
    writeFileSync(Buffer.concat([Buffer.from(`${directory}/`), linux.bufferOf(name)]), text, {
      encoding: "latin1",
    });
    using opened = openTestDirectory();
    expect(linux.tryReadTextAt(opened.number, name)).toBe(text);
    const stat = lstatSync(directory);
    expect(linux.statusOf(opened.number)).toMatchObject({
      inode: stat.ino,
      links: stat.nlink,
      mode: stat.mode,
    });
    const status = linux.tryStatusAt(opened.number, name);
    expect(status?.device).toBe(linux.statusOf(opened.number).device);
    expect(Math.abs((status?.birthMs ?? 0) - Date.now())).toBeLessThan(600_000);
  });

  it("return undefined for a missing file, and throw if a file cannot be accessed", () => {
    using opened = openTestDirectory();
    expect(linux.tryReadTextAt(opened.number, at("missing"))).toBeUndefined();
    expect(linux.tryStatusAt(opened.number, at("missing"))).toBeUndefined();
    expect(() => linux.openDirectoryAt(opened.number, at("missing"))).toThrow("ENOENT");
    symlinkSync(".", join(directory, "link"));
    expect(() => linux.openDirectoryAt(opened.number, at("link"))).toThrow(/ENOTDIR|ELOOP/);
    expect(linux.tryStatusAt(opened.number, at("link"))?.mode).toBe(0o120777);
    expect(() => linux.tryReadTextAt(opened.number, at("."))).toThrow("EISDIR");
  });
});

describe("flock", () => {
  it("is held by one open file description at a time", () => {
    const path = join(directory, "lock");
    const first = openSync(path, "w");
    const second = openSync(path, "w");
    expect(linux.tryFlock(first)).toBe(true);
    expect(linux.tryFlock(second)).toBe(false);
    closeSync(first);
    linux.flock(second);
    closeSync(second);
    expect(() => linux.tryFlock(second)).toThrow("EBADF");
  });
});

describe("extended attributes", () => {
  it("are returned as bytes, or as undefined if they are missing or too long", () => {
    const path = join(directory, "attributes");
    writeFileSync(path, "");
    const fd = openSync(path, "r");
    linux.setXattr(fd, "user.a", Buffer.from("a\0b"));
    linux.setXattr(fd, "user.empty", Buffer.alloc(0));
    expect(linux.tryGetXattr(fd, "user.a")).toEqual(Buffer.from("a\0b"));
    expect(linux.tryGetXattr(fd, "user.empty")).toEqual(Buffer.alloc(0));
    expect(linux.tryGetXattr(fd, "user.a", 2)).toBeUndefined();
    expect(linux.listXattrs(fd).map(linux.latin1Of).sort()).toEqual(["user.a", "user.empty"]);
    expect(linux.tryGetXattr(fd, "user.missing")).toBeUndefined();
    closeSync(fd);
  });
});

describe("FIFOs", () => {
  it("show whether they have a writer, even if it writes nothing", () => {
    const path = join(directory, "fifo");
    linux.mkfifo(path, 0o600);
    const reader = openSync(path, linux.O_NONBLOCK);
    using epoll = new linux.Epoll();
    epoll.add(reader, 0, 1);
    const writer = openSync(path, linux.O_NONBLOCK | 1);
    expect(epoll.wait(0, () => undefined)).toBe(0);
    closeSync(writer);
    expect(epoll.wait(0, () => undefined)).toBe(1);
    closeSync(reader);
  });
});
