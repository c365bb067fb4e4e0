/** Runs the reaper on real cgroups, below a scope of the test's own. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { bytesOfText, textOf } from "@cm4all/linux";
import { missing, ScratchCgroup, stopProcess } from "@cm4all/testing";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { ReaperOptions } from "../src/reaper/messages.ts";
import {
  buildReaperProgram,
  ReaperProgram,
  type ToldRelease,
  until,
} from "./reaper-program/program.ts";

let scratch: ScratchCgroup;
const programs: ReaperProgram[] = [];

async function start(
  options: Partial<ReaperOptions> = {},
  wrapper?: string[],
): Promise<ReaperProgram> {
  const program = new ReaperProgram({ root: bytesOfText(scratch.path), ...options }, wrapper);
  programs.push(program);
  await until("the scan at its start", () => program.populated !== undefined);
  return program;
}

const exists = (name: string) => existsSync(join(scratch.path, name));
const gone = (name: string) => until(`${name} to be deleted`, () => !exists(name));
/** Returns a command that runs its arguments in a user namespace with a limit of its own. */
const limited = (sysctl: string, limit: number) => [
  "unshare",
  "--map-root-user",
  "sh",
  "-c",
  `echo ${limit} >/proc/sys/user/${sysctl}; exec "$@"`,
  "sh",
];

/**
 * Moves a process through cgroups, one after the other. The process runs a child in each, because
 * the kernel charges nothing to a cgroup that a process enters and leaves between two timer ticks.
 */
async function runThrough(procs: readonly string[]): Promise<void> {
  const script = procs.map((path) => `echo $$ >${path}; (:)`).join("\n");
  const child = spawn("sh", ["-s"], { stdio: ["pipe", "ignore", "inherit"] });
  child.stdin.end(script);
  await new Promise((resolve) => child.on("exit", resolve));
}

/** Journals a random share of the releases since the last call. @param share from 0 to 1 */
function journal(program: ReaperProgram, accounted: Set<string>, share: number): void {
  const releases = program.releases.splice(0).filter(() => Math.random() < share);
  for (const { record } of releases) accounted.add(textOf(record.snapshot.path));
  program.journalled(releases);
}

const exited = (child: ChildProcess) => new Promise((resolve) => child.on("exit", resolve));

/** Returns a shell command that uses CPU time. */
const work = (rounds: number) => `i=0; while [ $i -lt ${rounds} ]; do i=$((i+1)); done`;

/** Returns the CPU time of a cgroup in microseconds. */
function usageOf(name: string): number {
  const text = readFileSync(join(scratch.path, name, "cpu.stat"), "utf8");
  return Number(/^usage_usec (\d+)$/m.exec(text)?.[1]);
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const reapedSoFar = (program: ReaperProgram) =>
  program.log.filter((line) => / cpu=/.test(line)).map((line) => line.replace(/: .*/, ""));

/**
 * Returns the log lines of reaped cgroups, without their figures, once there are `count`: the log
 * comes through a pipe of its own, and may lag behind everything else.
 */
const reaped = (program: ReaperProgram, count: number) =>
  until(`${count} cgroups to be logged`, () => {
    const names = reapedSoFar(program);
    return names.length >= count && names;
  });

/** Returns the log once it has `count` lines. */
const logged = (program: ReaperProgram, count: number) =>
  until(`${count} lines of the log`, () => program.log.length >= count && program.log);

describe.skipIf(missing("root", "cgroup2") !== undefined)("the reaper", () => {
  beforeAll(buildReaperProgram);
  beforeEach(() => {
    scratch = new ScratchCgroup();
    scratch.make("bp.scope");
  });
  afterEach(async () => {
    await Promise.all(programs.splice(0).map((program) => program.kill()));
    await scratch.remove();
  });

  it("logs and deletes a cgroup that becomes empty, but not one that was never used", async () => {
    const program = await start();
    scratch.make("bp.scope/unused");
    scratch.make("bp.scope/used");
    await scratch.runToEnd("bp.scope/used");
    await gone("bp.scope/used");
    const log = await logged(program, 1);
    expect(log).toHaveLength(1);
    expect(log[0]).toMatch(
      // As in the original daemon, figures that the kernel does not provide are left out.
      statSync(scratch.path, { bigint: true }).birthtimeNs > 0n
        ? /^used: since=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ cpu=0\.0s\/0\.0s\/0\.0s(\[\d+%\])?$/
        : /^used: cpu=0\.0s\/0\.0s\/0\.0s$/,
    );
    expect(exists("bp.scope/unused")).toBe(true);
    expect(await program.status()).toMatchObject({
      watchedCgroups: 1,
      releasedCgroups: 1,
      deletedCgroups: 1,
      inotifyWatches: 2 + 2,
      missedChanges: 0,
    });
  });

  it("leaves alone everything outside the scopes, and the scopes themselves", async () => {
    scratch.make("other.slice/x");
    const program = await start();
    await scratch.runToEnd("other.slice/x");
    await scratch.runToEnd("bp.scope");
    await scratch.runToEnd("bp.scope/a");
    await gone("bp.scope/a");
    await pause(100);
    expect(exists("other.slice/x")).toBe(true);
    expect(exists("bp.scope")).toBe(true);
    expect(await reaped(program, 1)).toEqual(["a"]);
  });

  it("reaps what it finds empty at its start, at any depth, bottom-up in one go", async () => {
    scratch.make("bp.scope/a/b/c");
    scratch.make("bp.scope/a/d");
    const program = await start();
    // Even without accounting, these cgroups are reported, since there may be records of them.
    await program.journalUntil("them to be deleted", () => !exists("bp.scope/a"));
    const order = await reaped(program, 4);
    expect([...order].sort()).toEqual(["a", "a/b", "a/b/c", "a/d"]);
    expect(order.indexOf("a/b/c")).toBeLessThan(order.indexOf("a/b"));
    expect(order.at(-1)).toBe("a");
    expect(await program.status()).toMatchObject({ watchedCgroups: 0, deletedCgroups: 4 });
  });

  it("reaps in one go a tree that was made all at once and became empty", async () => {
    const program = await start();
    await scratch.runToEnd("bp.scope/a/b/c/d/e", "sleep 0.05");
    await gone("bp.scope/a");
    expect(await reaped(program, 5)).toEqual(["a/b/c/d/e", "a/b/c/d", "a/b/c", "a/b", "a"]);
  });

  it("finds a cgroup that became empty before its creation was noticed", async () => {
    const program = await start();
    stopProcess(program.process.pid);
    await scratch.runToEnd("bp.scope/a");
    scratch.make("bp.scope/unused");
    program.process.kill("SIGCONT");
    await gone("bp.scope/a");
    expect(exists("bp.scope/unused")).toBe(true);
  });

  it("withdraws the release of a cgroup that is populated again, and reports the cgroup anew", async () => {
    const program = await start({ accounting: true, deletionDelayMs: 20 });
    await scratch.runToEnd("bp.scope/a");
    await until("the first release", () => program.releases.length === 1);
    const child = scratch.run("bp.scope/a", `${work(20_000)}; sleep 0.2`);
    await until("its end", () => program.told.includes("withdrawn 1"));
    program.journalled(program.releases);
    await exited(child);
    const [first, second] = await until(
      "the second release",
      () => program.releases.length === 2 && program.releases.map(({ record }) => record.snapshot),
    );
    expect(second?.id).toBe(first?.id);
    expect([first?.report, second?.report]).toEqual([1, 1]);
    expect(second?.cpuTotalUsec).toBeGreaterThan(first?.cpuTotalUsec ?? 0);
    expect(exists("bp.scope/a")).toBe(true);
    await program.journalUntil("it to be deleted", () => !exists("bp.scope/a"));
    const last = `deleted ${program.releases.length}`;
    await until("it to be reported", () => program.told.at(-1) === last);
    expect(program.told.slice(0, 3)).toEqual(["released 1", "withdrawn 1", "released 2"]);
  });

  it("reports a cgroup only once if it ran several times within the delay", async () => {
    const program = await start({ accounting: true, deletionDelayMs: 1000 });
    for (let i = 0; i < 3; i++) await scratch.runToEnd("bp.scope/a", work(2000));
    await until("the release", () => program.releases.length === 1);
    const usage = usageOf("bp.scope/a");
    expect(program.releases[0]?.record.snapshot.cpuTotalUsec).toBe(usage);
    program.journalled(program.releases);
    await gone("bp.scope/a");
    await until("it to be reported", () => program.told.includes("deleted 1"));
    expect(program.told).toEqual(["released 1", "deleted 1"]);
  });

  it("replaces a release by another if the cgroup ran again before the release was journalled", async () => {
    const program = await start({ accounting: true, deletionDelayMs: 20 });
    await scratch.runToEnd("bp.scope/a");
    await until("the release", () => program.releases.length === 1);
    // While the reaper is stopped, the cgroup is populated and becomes empty again.
    stopProcess(program.process.pid);
    await scratch.runToEnd("bp.scope/a", work(2000));
    program.process.kill("SIGCONT");
    program.journalled(program.releases.slice());
    const second = await until("the second release", () => program.releases[1]);
    expect(second).toMatchObject({ replaces: 1, record: { snapshot: { report: 1 } } });
    const usage = ({ record }: ToldRelease) => record.snapshot.cpuTotalUsec ?? 0;
    const [first] = program.releases;
    expect(usage(second)).toBeGreaterThan(first === undefined ? 0 : usage(first) + 200);
    await program.journalUntil("it to be deleted", () => !exists("bp.scope/a"));
    const last = `deleted ${program.releases.length}`;
    await until("it to be reported", () => program.told.at(-1) === last);
    expect(program.told.filter((line) => !line.startsWith("released"))).toEqual([last]);
    expect((await program.status()).waitingCgroups).toBe(0);
  });

  it("keeps a cgroup until it is journalled, and reports its ancestors without delay", async () => {
    const program = await start({ accounting: true });
    await scratch.runToEnd("bp.scope/a/b");
    await until("both", () => program.releases.length === 2);
    expect(program.releases.map(({ record }) => record.snapshot.path)).toEqual([
      "/bp.scope/a/b",
      "/bp.scope/a",
    ]);
    const [child, parent] = program.releases;
    if (child === undefined || parent === undefined) throw new Error("unreachable");
    program.journalled([parent]);
    await pause(150);
    expect(exists("bp.scope/a/b")).toBe(true);
    expect((await program.status()).waitingCgroups).toBe(1);
    await program.journalUntil("both to be deleted", () => !exists("bp.scope/a"));
    expect((await program.status()).waitingCgroups).toBe(0);
    const ends = () => program.told.filter((line) => line.startsWith("deleted"));
    await until("both to be reported", () => ends().length === 2);
  });

  it("deletes cgroups without a report to the main thread when there is no accounting", async () => {
    const program = await start({ accounting: true });
    program.setAccounting(false);
    await scratch.runToEnd("bp.scope/a");
    await gone("bp.scope/a");
    program.setAccounting(true);
    await scratch.runToEnd("bp.scope/b");
    await until("the release", () => program.releases.length === 1);
    expect(program.releases[0]?.record.snapshot.path).toBe("/bp.scope/b");
    expect(await reaped(program, 2)).toEqual(["a", "b"]);
  });

  it("reports that another program removed a released cgroup, even if the release is not journalled", async () => {
    const program = await start({ accounting: true });
    await scratch.runToEnd("bp.scope/a");
    await until("the release", () => program.releases.length === 1);
    scratch.removeEmpty("bp.scope/a");
    await until("it to be reported", () => program.told.includes("deleted 1"));
    expect(await program.status()).toMatchObject({
      waitingCgroups: 0,
      watchedCgroups: 0,
      deletedCgroups: 0,
      vanishedCgroups: 0,
    });
  });

  it("reports after 10 s that a directory cannot be deleted", { timeout: 60_000 }, async () => {
    const program = await start({ accounting: true, unusedMs: 3_600_000 });
    scratch.make("bp.scope/a/unused");
    await scratch.runToEnd("bp.scope/a");
    await until("the release", () => program.releases.length === 1);
    const began = performance.now();
    program.journalled(program.releases);
    await until("it to be reported", () => program.told.includes("kept 1"), 30_000);
    expect(performance.now() - began).toBeGreaterThan(9900);
    scratch.removeEmpty("bp.scope/a/unused");
    await gone("bp.scope/a");
    await until("the end to be reported", () => program.told.includes("deleted 1"));
  });

  it("reports again what a killed reaper left behind, and reports what is populated", async () => {
    const first = await start({ accounting: true });
    await scratch.runToEnd("bp.scope/a/sub");
    await until("the releases", () => first.releases.length === 2);
    const running = scratch.run("bp.scope/b");
    await until("a process to live in it", () => scratch.isPopulated("bp.scope/b"));
    scratch.make("bp.scope/c");
    await until("all to be known", async () => (await first.status()).watchedCgroups === 4);
    await first.kill();
    const second = await start({ accounting: true });
    await until("the end of the scan", () => second.populated !== undefined);
    const ids = new Map(
      second.releases.map(({ record, isFound }) => [
        textOf(record.snapshot.path),
        `${record.snapshot.id} ${isFound}`,
      ]),
    );
    const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    const id = (name: string) => `${bootId}:${statSync(join(scratch.path, name)).ino}`;
    expect(Object.fromEntries(ids)).toEqual({
      "/bp.scope/a/sub": `${id("bp.scope/a/sub")} true`,
      "/bp.scope/a": `${id("bp.scope/a")} true`,
      "/bp.scope/c": `${id("bp.scope/c")} true`,
    });
    expect(first.releases.map(({ record }) => record.snapshot.id)).toEqual([
      id("bp.scope/a/sub"),
      id("bp.scope/a"),
    ]);
    expect(second.populated).toEqual([id("bp.scope/b")]);
    running.kill("SIGKILL");
    const last = await until("the release", () => second.releases[3]);
    expect(last).toMatchObject({ isFound: false, record: { snapshot: { path: "/bp.scope/b" } } });
  });

  it("follows scopes that are made together with the slices above them, removed, and made again", async () => {
    const program = await start({ scopes: ["system.slice/*.slice/*-spawn.scope"] });
    for (let round = 0; round < 3; round++) {
      const scope = "system.slice/system-cm4all.slice/bp-spawn.scope";
      scratch.make(`${scope}/empty`);
      await scratch.runToEnd(`${scope}/a`, "sleep 0.03");
      await gone(`${scope}/a`);
      await scratch.runToEnd("system.slice/system-cm4all.slice/x.scope/a", "sleep 0.03");
      expect(exists(`${scope}/empty`)).toBe(true);
      scratch.removeEmpty(`${scope}/empty`);
      for (const name of [
        scope,
        "system.slice/system-cm4all.slice/x.scope/a",
        "system.slice/system-cm4all.slice/x.scope",
        "system.slice/system-cm4all.slice",
        "system.slice",
      ])
        scratch.removeEmpty(name);
      await until(
        "the tree to be forgotten",
        async () => (await program.status()).inotifyWatches === 1,
      );
    }
    expect(await reaped(program, 3)).toEqual(["a", "a", "a"]);
  });

  it("reports a cgroup that another program removed before it could be measured", async () => {
    const program = await start({ accounting: true });
    const child = scratch.run("bp.scope/a");
    await until("it to be watched", async () => (await program.status()).watchedCgroups === 1);
    await pause(50);
    stopProcess(program.process.pid);
    child.kill("SIGKILL");
    await exited(child);
    await until("it to be removed", () => {
      try {
        scratch.removeEmpty("bp.scope/a");
        return true;
      } catch {
        return false;
      }
    });
    program.process.kill("SIGCONT");
    await until("the release", () => program.releases.length === 1);
    expect(program.releases[0]).toMatchObject({
      vanished: true,
      record: { snapshot: { path: "/bp.scope/a", report: 1 } },
    });
    expect(await logged(program, 1)).toEqual(["a: removed by others before it was measured"]);
    expect(await program.status()).toMatchObject({
      watchedCgroups: 0,
      vanishedCgroups: 1,
      deletedCgroups: 0,
      waitingCgroups: 0,
    });
  });

  it("copes with cgroups that vanish at any step", async () => {
    const program = await start();
    for (let i = 0; i < 300; i++) {
      const path = scratch.make(`bp.scope/v${i}/child`);
      if (i % 3 === 0) await scratch.runToEnd(`bp.scope/v${i}/child`);
      if (i % 10 === 1) await pause(i % 40);
      for (const directory of [path, join(path, "..")]) {
        try {
          rmdirSync(directory);
        } catch {
          // The reaper was faster, or a process has not left the cgroup yet.
        }
      }
    }
    await until("all to be gone", () => {
      for (const name of readdirSync(join(scratch.path, "bp.scope"), { withFileTypes: true }))
        if (name.isDirectory()) return false;
      return true;
    });
    await until("all to be forgotten", async () => (await program.status()).watchedCgroups === 0);
    expect((await program.status()).inotifyWatches).toBe(2);
  });

  it("copes with a path of almost 4,096 bytes that others remove level by level", async () => {
    const program = await start({ accounting: true });
    const levels = Array.from({ length: 15 }, (_, i) =>
      join("bp.scope", ...Array<string>(i + 1).fill("y".repeat(250))),
    );
    for (const level of levels) scratch.make(level);
    const areWatched = async (count: number) => (await program.status()).watchedCgroups === count;
    await until("them to be watched", () => areWatched(levels.length));
    // When the reaper looks for the first removed level, its parent is gone as well.
    stopProcess(program.process.pid);
    for (const level of levels.reverse()) scratch.removeEmpty(level);
    program.process.kill("SIGCONT");
    await until("them to be forgotten", () => areWatched(0));
  });

  it("accepts names of any bytes", async () => {
    const names = [
      "a\tb: cpu=1.0s",
      "'; DROP TABLE x; --",
      '"\\',
      "\xff\xfe",
      "x".repeat(255),
      "ä",
    ];
    const program = await start({ accounting: true });
    stopProcess(program.process.pid);
    for (const name of names) {
      const path = Buffer.from(`${scratch.path}/bp.scope/${name}`, "latin1");
      mkdirSync(path);
    }
    program.process.kill("SIGCONT");
    await until(
      "them to be watched",
      async () => (await program.status()).watchedCgroups === names.length,
    );
    await program.kill();
    const next = await start({ accounting: true });
    await until("the releases", () => next.releases.length === names.length);
    expect(next.releases.map(({ record }) => record.snapshot.path).sort()).toEqual(
      names.map((name) => `/bp.scope/${name}`).sort(),
    );
    const log = await logged(next, names.length);
    expect(log.filter((line) => line.startsWith("a\\x09b: cpu=1.0s: cpu="))).toHaveLength(1);
    expect(log).toHaveLength(names.length);
    next.journalled(next.releases);
    await until(
      "them to be deleted",
      async () => (await next.status()).deletedCgroups === names.length,
    );
  });

  it("goes on without watches, and finds with its periodic check what it could not watch", async () => {
    // The limit is that of a separate user namespace: the host's stays as it is.
    const program = await start({ checkIntervalMs: 300 }, limited("max_inotify_watches", 4));
    scratch.make("bp.scope/a");
    scratch.make("bp.scope/b");
    await until("both to be known", async () => (await program.status()).watchedCgroups === 2);
    const log = await logged(program, 1);
    expect(log).toHaveLength(1);
    expect(log[0]).toContain("sysctl fs.inotify.max_user_watches is reached");
    expect(await program.status()).toMatchObject({ inotifyWatches: 4, unwatchedDirectories: 1 });
    await scratch.runToEnd("bp.scope/b");
    await gone("bp.scope/b");
    const { missedChanges, unwatchedDirectories } = await program.status();
    expect(missedChanges).toBeGreaterThan(0);
    expect(unwatchedDirectories).toBe(0);
    await scratch.runToEnd("bp.scope/a");
    await gone("bp.scope/a");
  });

  it("goes on without inotify, too", async () => {
    const program = await start({ checkIntervalMs: 300 }, limited("max_inotify_instances", 0));
    expect((await logged(program, 1))[0]).toContain("sysctl fs.inotify.max_user_instances");
    await scratch.runToEnd("bp.scope/a");
    await gone("bp.scope/a");
    expect((await program.status()).missedChanges).toBeGreaterThan(0);
  });

  it("goes on when it may open no more files, and logs the name of the limit", async () => {
    const program = await start({ checkIntervalMs: 300 });
    const pid = String(program.process.pid);
    execFileSync("prlimit", ["--pid", pid, "--nofile=3:"]);
    await scratch.runToEnd("bp.scope/a");
    expect((await logged(program, 1))[0]).toContain("RLIMIT_NOFILE (LimitNOFILE= of the service)");
    expect(exists("bp.scope/a")).toBe(true);
    execFileSync("prlimit", ["--pid", pid, "--nofile=1024:"]);
    await gone("bp.scope/a");
  });

  it("finds everything after the kernel's event queue has overflowed", async () => {
    const program = await start();
    const before = scratch.run("bp.scope/before");
    scratch.make("bp.scope/unused");
    await until("both to be watched", async () => (await program.status()).watchedCgroups === 2);
    stopProcess(program.process.pid);
    for (let i = 0; i < 9000; i++) {
      scratch.make("bp.scope/x");
      scratch.removeEmpty("bp.scope/x");
    }
    before.kill("SIGKILL");
    await scratch.runToEnd("bp.scope/a/b");
    program.process.kill("SIGCONT");
    await gone("bp.scope/before");
    await gone("bp.scope/a");
    const { rescans, missedChanges } = await program.status();
    expect(rescans).toBeGreaterThan(0);
    expect(missedChanges).toBe(0);
    expect(exists("bp.scope/unused")).toBe(true);
  });

  it("reaps 5,000 cgroups that become empty at once", async () => {
    const program = await start();
    const count = 5000;
    const names = Array.from({ length: count }, (_, i) => `bp.scope/n${i % 50}/c${i}`);
    for (const name of names) scratch.make(name);
    await until(
      "all to be watched",
      async () => (await program.status()).watchedCgroups === count + 50,
    );
    // A shell goes through all cgroups: each becomes empty as the shell leaves.
    stopProcess(program.process.pid);
    await runThrough(names.map((name) => join(scratch.path, name, "cgroup.procs")));
    program.process.kill("SIGCONT");
    await until(
      "all to be deleted",
      () => readdirSync(join(scratch.path, "bp.scope")).every((name) => !/^n\d/.test(name)),
      30_000,
    );
    const status = await program.status();
    expect(status).toMatchObject({
      watchedCgroups: 0,
      deletedCgroups: count + 50,
      vanishedCgroups: 0,
      missedChanges: 0,
    });
    await until("all to be logged", () => new Set(reapedSoFar(program)).size === count + 50);
  });

  it("loses nothing when it is killed at random moments", async () => {
    const accounted = new Set<string>();
    let kills = 0;
    let count = 0;
    let isDone = false;
    const work = Promise.all(
      Array.from({ length: 6 }, async () => {
        // On a busy machine, 300 cgroups may have been used before the fourth kill.
        while (count < 300 || kills < 4) {
          const i = count++;
          await scratch.runToEnd(`bp.scope/g${i % 10}-${Math.floor(i / 60)}/c${i}`);
          await pause(20);
        }
      }),
    ).finally(() => {
      isDone = true;
    });
    while (!isDone) {
      const program = await start({ accounting: true, deletionDelayMs: 10 });
      const end = performance.now() + 40 + Math.random() * 200;
      while (performance.now() < end) {
        journal(program, accounted, 0.9);
        await pause(5);
      }
      await program.kill();
      kills++;
    }
    await work;
    const last = await start({ accounting: true });
    await until(
      "all to be deleted",
      () => {
        journal(last, accounted, 1);
        return readdirSync(join(scratch.path, "bp.scope")).every((name) => !/^g\d/.test(name));
      },
      20_000,
    );
    const paths = [...accounted].filter((path) => /\/c\d+$/.test(path));
    expect(paths).toHaveLength(count);
  });

  it("deletes, before it ends, what is journalled, and leaves the rest to the next start", async () => {
    const program = await start({ accounting: true, deletionDelayMs: 500 });
    await scratch.runToEnd("bp.scope/a");
    await scratch.runToEnd("bp.scope/b");
    await until("both", () => program.releases.length === 2);
    // The figures of a short-lived process can come late: either cgroup may be reported first.
    const ofA = ({ record }: ToldRelease) => textOf(record.snapshot.path) === "/bp.scope/a";
    program.journalled(program.releases.filter(ofA));
    expect(await program.stop()).toBe(0);
    expect([exists("bp.scope/a"), exists("bp.scope/b")]).toEqual([false, true]);
  });
});
