import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
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
    linux.removeDirectoryAt(fd, "sub");
    expect(() => linux.removeDirectoryAt(fd, "sub")).toThrow("ENOENT");
    closeSync(fd);
    expect(inotify.read()).toEqual([
      { wd, mask: (linux.IN_CREATE | linux.IN_ISDIR) >>> 0, name: "sub" },
      { wd, mask: (linux.IN_DELETE | linux.IN_ISDIR) >>> 0, name: "sub" },
    ]);
    expect(inotify.unwatch(wd)).toBe(true);
    expect(inotify.unwatch(wd)).toBe(false);
    expect(() => inotify.watch(join(directory, "missing"), linux.IN_CREATE)).toThrow("ENOENT");
  });
});

describe("flock", () => {
  it("is had by one open file at a time", () => {
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
  it("are bytes, or undefined", () => {
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
  it("tell no writer from a writer that is silent", () => {
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
