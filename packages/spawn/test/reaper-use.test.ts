/** Tests what counts as use of a real cgroup: children, the freezer, removal by others. */
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bytesOfText, textOf } from "@cm4all/linux";
import { missing, ScratchCgroup, stopProcess } from "@cm4all/testing";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { ReaperOptions } from "../src/reaper/messages.ts";
import { buildReaperProgram, ReaperProgram, until } from "./reaper-program/program.ts";

let scratch: ScratchCgroup;
let program: ReaperProgram;

async function start(options: Partial<ReaperOptions> = {}): Promise<void> {
  program = new ReaperProgram({
    root: bytesOfText(scratch.path),
    accounting: true,
    unusedMs: 300,
    ...options,
  });
  await until("the scan at its start", () => program.populated !== undefined);
}

const exists = (name: string) => existsSync(join(scratch.path, name));
const gone = (name: string) => program.journalUntil(`${name} to be deleted`, () => !exists(name));
const watched = (count: number) =>
  until(`${count} to be known`, async () => (await program.status()).watchedCgroups === count);
const write = (file: string, text: string) => writeFileSync(join(scratch.path, file), text);

/** Runs a process in a cgroup until it ends. */
const run = (name: string) =>
  scratch.runToEnd(name, "i=0; while [ $i -lt 5000 ]; do i=$((i+1)); done");

const paths = () => program.releases.map(({ record }) => textOf(record.snapshot.path));

/** Waits until this many cgroups are released, and journals all releases: deletion may follow. */
async function released(count: number): Promise<void> {
  await until(`${count} releases`, () => program.releases.length >= count);
  program.journalled(program.releases);
}

describe.skipIf(missing("root", "cgroup2") !== undefined)("the reaper", () => {
  beforeAll(buildReaperProgram);
  beforeEach(() => {
    scratch = new ScratchCgroup();
    scratch.make("bp.scope");
  });
  afterEach(async () => {
    await program.kill();
    await scratch.remove();
  });

  describe("accounts a cgroup when it becomes empty, and deletes it with", () => {
    const unused: [title: string, prepare: () => Promise<void> | void][] = [
      [
        "a child that its process made",
        () =>
          scratch.runToEnd(
            "bp.scope/c1",
            `mkdir ${scratch.path}/bp.scope/c1/sub; i=0; while [ $i -lt 5000 ]; do i=$((i+1)); done`,
          ),
      ],
      [
        "a child that was made first",
        async () => {
          scratch.make("bp.scope/c1/sub");
          await watched(2);
          await run("bp.scope/c1");
        },
      ],
      [
        "a threaded child",
        async () => {
          scratch.make("bp.scope/c1/sub");
          write("bp.scope/c1/sub/cgroup.type", "threaded");
          await run("bp.scope/c1");
        },
      ],
      [
        "an unused child whose sibling was used",
        async () => {
          scratch.make("bp.scope/c1/sub");
          await run("bp.scope/c1/used");
        },
      ],
      [
        "an unused tree that was made after the cgroup had become empty",
        async () => {
          await run("bp.scope/c1");
          await until("the release", () => program.releases.length === 1);
          scratch.make("bp.scope/c1/sub/deeper/still");
        },
      ],
    ];
    for (const [title, prepare] of unused)
      it(title, async () => {
        await start();
        await prepare();
        await until("the release", () => paths().includes("/bp.scope/c1"));
        expect(exists("bp.scope/c1/sub")).toBe(true);
        await gone("bp.scope/c1");
        expect(paths().filter((path) => path.includes("sub"))).toEqual([]);
        await until("its end", () => program.told.includes(`deleted ${program.releases.length}`));
        expect(await program.status()).toMatchObject({ watchedCgroups: 0, waitingCgroups: 0 });
      });
  });

  it.each([
    ["", () => {}],
    // A reaper that was stopped sees only that the cgroups have changed and are empty again.
    [
      ", even if the child is empty again before the reaper looks",
      () => stopProcess(program.process.pid),
    ],
  ])("accounts a child that is used while its parent awaits deletion%s", async (_, before) => {
    // Longer than any pause of a busy machine: the child must not be deleted before it is used.
    await start({ unusedMs: 60_000 });
    scratch.make("bp.scope/c1/sub");
    await run("bp.scope/c1");
    await released(1);
    before();
    await run("bp.scope/c1/sub");
    program.process.kill("SIGCONT");
    await gone("bp.scope/c1");
    const later = paths().slice(1);
    expect([later[0], later.at(-1)]).toEqual(["/bp.scope/c1/sub", "/bp.scope/c1"]);
    const isReplaced = program.releases.some(({ replaces }) => replaces === 1);
    expect(isReplaced || program.told.includes("withdrawn 1")).toBe(true);
  });

  it("leaves alone cgroups that were never used, frozen or not", async () => {
    await start({ deletionDelayMs: 10 });
    for (let i = 0; i < 40; i++) scratch.make(`bp.scope/n${i}`);
    scratch.make("bp.scope/frozen");
    scratch.make("bp.scope/parent/child");
    await watched(43);
    write("bp.scope/frozen/cgroup.freeze", "1");
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 40; i++) {
        write(`bp.scope/n${i}/cgroup.freeze`, "1");
        write(`bp.scope/n${i}/cgroup.freeze`, "0");
      }
      write("bp.scope/parent/cgroup.freeze", "1");
      await new Promise((resolve) => setTimeout(resolve, 3));
      write("bp.scope/parent/cgroup.freeze", "0");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(await program.status()).toMatchObject({
      watchedCgroups: 43,
      releasedCgroups: 0,
      deletedCgroups: 0,
    });
    // Such a cgroup can still be used, and is accounted after its use.
    await run("bp.scope/n7");
    await gone("bp.scope/n7");
    expect(new Set(paths())).toEqual(new Set(["/bp.scope/n7"]));
  });

  it("accounts or counts each cgroup that others remove as soon as its process has ended", async () => {
    await start({ deletionDelayMs: 0 });
    const count = 150;
    let accounted = 0;
    for (let i = 0; i < count; i++) {
      const name = `bp.scope/v${i}`;
      await scratch.runToEnd(name);
      if (i % 3 === 0) await new Promise((resolve) => setTimeout(resolve, i % 7));
      try {
        rmdirSync(join(scratch.path, name));
      } catch {
        // The process has not left the cgroup yet, or the reaper has already deleted the cgroup.
        await until(`${name} to be empty`, () => {
          try {
            rmdirSync(join(scratch.path, name));
            return true;
          } catch {
            return !exists(name);
          }
        });
      }
    }
    await until("all to be forgotten", async () => {
      const { watchedCgroups, releasedCgroups, vanishedCgroups, unseenCgroups } =
        await program.status();
      accounted = releasedCgroups + vanishedCgroups + unseenCgroups;
      return watchedCgroups === 0 && accounted >= count;
    });
    expect(accounted).toBe(count);
  });

  it("counts cgroups that were made and removed before the reaper looked", async () => {
    await start();
    stopProcess(program.process.pid);
    for (let i = 0; i < 10; i++) {
      mkdirSync(join(scratch.path, "bp.scope/x"));
      rmdirSync(join(scratch.path, "bp.scope/x"));
    }
    mkdirSync(join(scratch.path, "bp.scope/x"));
    program.process.kill("SIGCONT");
    // One watched cgroup alone does not prove that the reaper has looked since it was stopped.
    await until("it to have looked", async () => (await program.status()).unseenCgroups > 0);
    await watched(1);
    expect(await program.status()).toMatchObject({ unseenCgroups: 10, vanishedCgroups: 0 });
  });

  it("keeps only sums of the figures of scopes that are gone", async () => {
    await start({ accounting: false, scopes: ["*.slice/*.scope"] });
    for (let i = 0; i < 20; i++) {
      await run(`x.slice/${i}.scope/job`);
      await gone(`x.slice/${i}.scope/job`);
      scratch.removeEmpty(`x.slice/${i}.scope`);
    }
    const seconds = await until("all to be gone", async () => {
      const { scopeCpuSeconds } = await program.status();
      return Object.keys(scopeCpuSeconds).length === 1 && scopeCpuSeconds;
    });
    expect(seconds["(gone)"]).toBeGreaterThan(0);
    expect((await program.status()).releasedCgroups).toBe(20);
  });
});
