/** Tests the records of real cgroups: extended attributes, and reports of running cgroups. */

import { closeSync, existsSync, openSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { bytesOfText, latin1Of, setXattr, textOf } from "@cm4all/linux";
import { missing, ScratchCgroup, stopProcess } from "@cm4all/testing";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { ReaperOptions } from "../src/reaper/messages.ts";
import { buildReaperProgram, ReaperProgram, until } from "./reaper-program/program.ts";

let scratch: ScratchCgroup;
let program: ReaperProgram;

async function start(options: Partial<ReaperOptions> = {}, root = scratch.path): Promise<void> {
  program = new ReaperProgram({ root: bytesOfText(root), accounting: true, ...options });
  await until("the scan at its start", () => program.populated !== undefined);
}

function set(name: string, attribute: string, value: string | Buffer): void {
  const fd = openSync(join(scratch.path, name), "r");
  setXattr(fd, attribute, Buffer.from(value));
  closeSync(fd);
}

/** Returns the attributes in a release: the cgroup's own first, then those of each ancestor. */
async function xattrs(index: number): Promise<string[][]> {
  const { record } = await until("the release", () => program.releases[index]);
  return record.xattrs.map((table) =>
    table.map(([name, value]) => `${textOf(name)}=${latin1Of(value)}`).sort(),
  );
}

describe.skipIf(missing("root", "cgroup2") !== undefined)("a record", () => {
  beforeAll(buildReaperProgram);
  beforeEach(() => {
    scratch = new ScratchCgroup();
    scratch.make("bp.scope");
  });
  afterEach(async () => {
    await program.kill();
    await scratch.remove();
  });

  it("has the attributes that anybody may read, of the cgroup and of the cgroups above it", async () => {
    scratch.make("x.slice/bp.scope/a/b");
    set("x.slice", "user.slice", "1");
    set("x.slice/bp.scope/a", "user.account", "\xff\0");
    set("x.slice/bp.scope/a", "trusted.secret", "s");
    set("x.slice/bp.scope/a/b", "user.account", "bob");
    set("x.slice/bp.scope/a/b", "security.label", "l");
    set("x.slice/bp.scope/a/b", "user.longest", Buffer.alloc(4096, "v"));
    set("x.slice/bp.scope/a/b", "user.longer", Buffer.alloc(4097, "v"));
    await start({ scopes: ["x.slice/*.scope"] });
    expect(await xattrs(0)).toEqual([
      ["security.label=l", "user.account=bob", `user.longest=${"v".repeat(4096)}`],
      ["user.account=\xc3\xbf\0"],
      [],
      ["user.slice=1"],
    ]);
    expect((await xattrs(1))[0]).toEqual(["user.account=\xc3\xbf\0"]);
  });

  it("has no attributes of the root, and no empty tables at the end", async () => {
    scratch.make("root/bp.scope/a");
    set("root", "user.root", "r");
    set("root/bp.scope/a", "user.a", "a");
    await start({}, join(scratch.path, "root"));
    expect(await xattrs(0)).toEqual([["user.a=a"]]);
  });

  it("has the latest values of each directory's attributes", async () => {
    await start({ deletionDelayMs: 300 });
    for (let i = 0; i < 4; i++) {
      set("bp.scope", "user.round", `${i}`);
      const child = scratch.run("bp.scope/group/job");
      set("bp.scope/group/job", "user.job", `first ${i}`);
      await until("its process", () => scratch.isPopulated("bp.scope/group/job"));
      await until("it to be known", async () => (await program.status()).watchedCgroups >= 2);
      set("bp.scope/group", "user.group", `late ${i}`);
      set("bp.scope/group/job", "user.job", `late ${i}`);
      child.kill("SIGKILL");
      await until("both releases", () => program.releases.length === 2 * i + 2);
      expect(await xattrs(2 * i)).toEqual([
        [`user.job=late ${i}`],
        [`user.group=late ${i}`],
        [`user.round=${i}`],
      ]);
      const scope = join(scratch.path, "bp.scope");
      await program.journalUntil("both deletions", () => !existsSync(join(scope, "group")));
    }
  });

  it("has an attribute that was set before the end, however many events wait before its own", async () => {
    await start({ deletionDelayMs: 10 });
    scratch.make("bp.scope/group");
    set("bp.scope/group", "user.account", "old");
    scratch.run("bp.scope/group/keep");
    await scratch.runToEnd("bp.scope/group/first");
    expect(await xattrs(0)).toEqual([[], ["user.account=old"]]);
    stopProcess(program.process.pid);
    const child = scratch.run("bp.scope/group/job");
    await until("its process", () => scratch.isPopulated("bp.scope/group/job"));
    // The reaper reads up to 64 KiB of events at a time; these are 192,000 bytes.
    for (let i = 0; i < 1500; i++) scratch.make(`bp.scope/${"x".repeat(100)}${i}`);
    set("bp.scope/group", "user.account", "new");
    child.kill("SIGKILL");
    await until("its end", () => !scratch.isPopulated("bp.scope/group/job"));
    program.process.kill("SIGCONT");
    expect(await xattrs(1)).toEqual([[], ["user.account=new"]]);
  });

  it("never has an attribute of another cgroup at the same path", async () => {
    await start();
    scratch.make("bp.scope/a");
    set("bp.scope/a", "user.owner", "old");
    await scratch.runToEnd("bp.scope/a");
    await until("the release", () => program.releases.length === 1);
    stopProcess(program.process.pid);
    scratch.removeEmpty("bp.scope/a");
    await scratch.runToEnd("bp.scope/a");
    set("bp.scope/a", "user.owner", "new");
    program.process.kill("SIGCONT");
    await until("the second release", () => program.releases.length === 2);
    expect(await xattrs(0)).toEqual([["user.owner=old"]]);
    expect(await xattrs(1)).toEqual([["user.owner=new"]]);
    expect(program.releases[1]?.record.snapshot.id).not.toBe(
      program.releases[0]?.record.snapshot.id,
    );
  });

  it("of a cgroup that vanished has no attribute of the next cgroup at the same path", async () => {
    await start();
    const child = scratch.run("bp.scope/a/b");
    await until("its process", () => scratch.isPopulated("bp.scope/a/b"));
    await until("both to be known", async () => (await program.status()).watchedCgroups === 2);
    // The kernel reports up to 10 ms late that a cgroup is populated; the reaper then has to read
    // the event.
    await sleep(500);
    await program.status();
    stopProcess(program.process.pid);
    child.kill("SIGKILL");
    await until("the end of its process", () => !scratch.isPopulated("bp.scope/a/b"));
    scratch.removeEmpty("bp.scope/a/b");
    scratch.removeEmpty("bp.scope/a");
    scratch.make("bp.scope/a/b");
    set("bp.scope/a/b", "user.owner", "new");
    set("bp.scope/a", "user.group", "new");
    set("bp.scope", "user.scope", "the same");
    program.process.kill("SIGCONT");
    await until("both releases", () => program.releases.length === 2);
    expect(await xattrs(0)).toEqual([[], [], ["user.scope=the same"]]);
    expect(await xattrs(1)).toEqual([[], ["user.scope=the same"]]);
  });

  it("has the attributes of a vanished cgroup, as far as they were known", async () => {
    await start({ interimMs: 100 });
    set("bp.scope", "user.scope", "s");
    scratch.make("bp.scope/a");
    set("bp.scope/a", "user.a", "a");
    const child = scratch.run("bp.scope/a");
    await until("an interim report of it", () => program.interim.length > 0);
    stopProcess(program.process.pid);
    child.kill("SIGKILL");
    await until("it to be removed", () => {
      try {
        scratch.removeEmpty("bp.scope/a");
        return true;
      } catch {
        return false;
      }
    });
    program.process.kill("SIGCONT");
    expect(await xattrs(0)).toEqual([["user.a=a"], ["user.scope=s"]]);
    expect(program.releases[0]?.vanished).toBe(true);
  });

  it("has its path and attributes even below a root whose path is not ASCII", async () => {
    scratch.make("wurzel-\u00e4\u20ac/bp.scope/kunde-\u00f6");
    set("wurzel-\u00e4\u20ac/bp.scope", "user.s", "1");
    set("wurzel-\u00e4\u20ac/bp.scope/kunde-\u00f6", "user.\u00fc", "2");
    await start({}, join(scratch.path, "wurzel-\u00e4\u20ac"));
    expect(await xattrs(0)).toEqual([["user.\u00fc=2"], ["user.s=1"]]);
    const [release] = program.releases;
    expect(release && textOf(release.record.snapshot.path)).toBe("/bp.scope/kunde-\u00f6");
    await program.journalUntil("it to be deleted", () => program.told.includes("deleted 1"));
  });

  it("is sent as an interim report at each interval, but only while its cgroup is populated", async () => {
    await start({ interimMs: 300 });
    const child = scratch.run("bp.scope/a", "while :; do :; done");
    scratch.make("bp.scope/unused");
    const snapshots = () => program.interim.map(({ snapshot }) => snapshot);
    await until("three interim reports", () => program.interim.length >= 3);
    const [first, second] = snapshots();
    expect(first).toMatchObject({ path: "/bp.scope/a", report: 1 });
    expect(second?.id).toBe(first?.id);
    expect(second?.cpuTotalUsec).toBeGreaterThan(first?.cpuTotalUsec ?? 0);
    // On a busy host a report may be late, but none is much too early.
    expect((second?.measuredMs ?? 0) - (first?.measuredMs ?? 0)).toBeGreaterThan(200);
    child.kill("SIGKILL");
    const last = await until("the release", () => program.releases[0]?.record.snapshot);
    const count = program.interim.length;
    expect(last.cpuTotalUsec).toBeGreaterThan(snapshots().at(-1)?.cpuTotalUsec ?? 0);
    await sleep(700);
    expect(program.interim).toHaveLength(count);
    program.setInterim(0);
    const other = scratch.run("bp.scope/b");
    await sleep(700);
    expect(program.interim).toHaveLength(count);
    program.setInterim(200);
    await until("an interim report of the other", () => snapshots().at(-1)?.path !== first?.path);
    other.kill("SIGKILL");
  });
});
