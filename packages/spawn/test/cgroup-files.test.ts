/** Tests the last measurement of a real cgroup, and its deletion. */
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import type { CgroupMeasurement } from "@cm4all/cgroup";
import { bytesOfText } from "@cm4all/linux";
import { missing, ScratchCgroup } from "@cm4all/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CgroupFiles } from "../src/reaper/cgroup-files.ts";
import { type OpenRoot, openCgroupRoot } from "../src/reaper/open-root.ts";
import { until } from "./reaper-program/program.ts";

describe.skipIf(missing("root", "cgroup2") !== undefined)("a cgroup", () => {
  let scratch: ScratchCgroup;
  let root: OpenRoot;
  let files: CgroupFiles;
  let complaints: string[];

  beforeEach(() => {
    scratch = new ScratchCgroup();
    root = openCgroupRoot(bytesOfText(scratch.path));
    complaints = [];
    files = new CgroupFiles(root, (_, text) => complaints.push(text));
  });
  afterEach(async () => {
    root.close();
    await scratch.remove();
  });

  const exists = (name: string) => existsSync(join(scratch.path, name));

  function directory(name: string) {
    const { ino } = statSync(scratch.make(name));
    return { path: bytesOfText(`/${name}`), inode: ino };
  }

  /** Runs a process in a cgroup until it ends. Returns the measured CPU time in microseconds. */
  async function run(name: string) {
    await scratch.runToEnd(name, "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done");
    await until("it to be empty", () => files.isPopulated(directory(name)) === false);
    const measured = files.measure(directory(name), undefined);
    if (typeof measured === "string") throw new Error(measured);
    return measured.cpuTotalUsec ?? 0;
  }

  it("is deleted if it has used no more than was measured", async () => {
    const usec = await run("a/b");
    expect(files.remove(directory("a/b"), usec)).toBe("removed");
    expect(exists("a/b")).toBe(false);
    expect(files.remove({ path: bytesOfText("/a/b"), inode: 1 }, usec)).toBe("gone");
    expect(files.remove(directory("a"), undefined)).toBe("removed");
  });

  it("stays if it has used more than was measured, is populated, or has a child", async () => {
    const usec = await run("a");
    expect(files.remove(directory("a"), usec - 1)).toBe("grown");
    directory("a/b");
    expect(files.remove(directory("a"), usec)).toBe("busy");
    scratch.run("a");
    await until("its process", () => files.isPopulated(directory("a")) === true);
    expect(files.remove(directory("a"), undefined)).toBe("populated");
    expect(exists("a")).toBe(true);
    expect(complaints).toEqual([]);
  });

  it("is gone if it is removed while it is measured, and the figures that were read before are kept", async () => {
    const usec = await run("a");
    const a = directory("a");
    const remains: CgroupMeasurement[] = [];
    const keep = (figures: CgroupMeasurement) => remains.push(figures);
    expect(files.measure(a, undefined, undefined, keep)).toMatchObject({ cpuTotalUsec: usec });
    expect(remains).toEqual([]);
    const remove = () => scratch.removeEmpty("a");
    expect(files.measure(a, undefined, remove, keep)).toBe("gone");
    expect(remains).toEqual([expect.objectContaining({ cpuTotalUsec: usec, path: "/a" })]);
    expect(files.measure(a, undefined, undefined, keep)).toBe("gone");
    expect(remains).toHaveLength(1);
  });

  it("is not mistaken for its successor at the same path, whether the successor was used or not", async () => {
    const old = directory("a");
    scratch.removeEmpty("a");
    const successor = directory("a");
    expect(files.remove(old, 1_000_000)).toBe("gone");
    expect(files.measure(old, undefined)).toBe("gone");
    scratch.run("a");
    await until("its process", () => files.isPopulated(successor) === true);
    expect(files.isPopulated(old)).toBeUndefined();
    expect(files.remove(old, 0)).toBe("gone");
    expect(files.wasUsed(old)).toBe(false);
    expect(exists("a")).toBe(true);
  });
});
