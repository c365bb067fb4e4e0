/** The reaper on real cgroups, below a scope of the test's own. */
import { execFileSync, spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bytesOfText, textOf } from "@cm4all/linux";
import { missing, ScratchCgroup } from "@cm4all/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { ReaperOptions } from "../src/reaper/messages.ts";
import { buildReaperProgram, ReaperProgram, until } from "./reaper-program/program.ts";

let scratch: ScratchCgroup;
const programs: ReaperProgram[] = [];

async function start(
  options: Partial<ReaperOptions> = {},
  wrapper?: string[],
): Promise<ReaperProgram> {
  const program = new ReaperProgram({ root: bytesOfText(scratch.path), ...options }, wrapper);
  programs.push(program);
  await program.status();
  return program;
}

const exists = (name: string) => existsSync(join(scratch.path, name));
const gone = (name: string) => until(`${name} to be deleted`, () => !exists(name));
/** A command that runs its arguments in a user namespace with a limit of its own. */
const limited = (sysctl: string, limit: number) => [
  "unshare",
  "--map-root-user",
  "sh",
  "-c",
  `echo ${limit} >/proc/sys/user/${sysctl}; exec "$@"`,
  "sh",
];

/** Lets one process enter one cgroup after the other. */
async function runThrough(procs: readonly string[]): Promise<void> {
  const script = procs.map((path) => `echo $$ >${path}`).join("\n");
  const child = spawn("sh", ["-s"], { stdio: ["pipe", "ignore", "inherit"] });
  child.stdin.end(script);
  await new Promise((resolve) => child.on("exit", resolve));
}

/** Accounts and settles what was released since the last call. @param share of it */
function settle(program: ReaperProgram, accounted: Set<string>, share: number): void {
  const releases = program.releases.splice(0).filter(() => Math.random() < share);
  for (const { snapshot } of releases) accounted.add(textOf(snapshot.path));
  program.settle(releases);
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** The log lines of reaped cgroups, without their figures. */
const reaped = (program: ReaperProgram) =>
  program.log.filter((line) => / cpu=/.test(line)).map((line) => line.replace(/: .*/, ""));

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

  it("logs and deletes a cgroup that runs empty, and not one that was born empty", async () => {
    const program = await start();
    scratch.make("bp.scope/unused");
    scratch.make("bp.scope/used");
    await scratch.runToEnd("bp.scope/used");
    await gone("bp.scope/used");
    expect(program.log).toHaveLength(1);
    expect(program.log[0]).toMatch(
      /^used: since=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ cpu=0\.0s\/0\.0s\/0\.0s(\[\d+%\])?$/,
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

  it("leaves everything outside of the scopes alone, and the scopes themselves", async () => {
    scratch.make("other.slice/x");
    const program = await start();
    await scratch.runToEnd("other.slice/x");
    await scratch.runToEnd("bp.scope");
    await scratch.runToEnd("bp.scope/a");
    await gone("bp.scope/a");
    await pause(100);
    expect(exists("other.slice/x")).toBe(true);
    expect(exists("bp.scope")).toBe(true);
    expect(reaped(program)).toEqual(["a"]);
  });

  it("reaps what it finds empty at its start, at any depth, bottom-up in one go", async () => {
    scratch.make("bp.scope/a/b/c");
    scratch.make("bp.scope/a/d");
    const began = performance.now();
    const program = await start();
    await gone("bp.scope/a");
    expect(performance.now() - began).toBeLessThan(1000);
    const order = reaped(program);
    expect([...order].sort()).toEqual(["a", "a/b", "a/b/c", "a/d"]);
    expect(order.indexOf("a/b/c")).toBeLessThan(order.indexOf("a/b"));
    expect(order.at(-1)).toBe("a");
    expect(await program.status()).toMatchObject({ watchedCgroups: 0, deletedCgroups: 4 });
  });

  it("reaps a tree that was made at once and ran empty, in one go", async () => {
    const program = await start();
    await scratch.runToEnd("bp.scope/a/b/c/d/e", "sleep 0.05");
    await gone("bp.scope/a");
    expect(reaped(program)).toEqual(["a/b/c/d/e", "a/b/c/d", "a/b/c", "a/b", "a"]);
  });

  it("finds a cgroup that ran empty before its creation was noticed", async () => {
    const program = await start();
    program.process.kill("SIGSTOP");
    await scratch.runToEnd("bp.scope/a");
    scratch.make("bp.scope/unused");
    program.process.kill("SIGCONT");
    await gone("bp.scope/a");
    expect(exists("bp.scope/unused")).toBe(true);
  });

  it("reports a cgroup again that is populated again before it is deleted", async () => {
    const program = await start({ accounting: true, deletionDelayMs: 100 });
    await scratch.runToEnd("bp.scope/a");
    await until("the first report", () => program.releases.length === 1);
    const child = scratch.run(
      "bp.scope/a",
      "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 0.2",
    );
    program.settle(program.releases);
    await pause(150);
    expect(exists("bp.scope/a")).toBe(true);
    await new Promise((resolve) => child.on("exit", resolve));
    const [first, second] = await until(
      "the second report",
      () => program.releases.length === 2 && program.releases.map(({ snapshot }) => snapshot),
    );
    expect(second?.id).toBe(first?.id);
    expect([first?.report, second?.report]).toEqual([1, 2]);
    expect(second?.cpuTotalUsec).toBeGreaterThan(first?.cpuTotalUsec ?? 0);
    await pause(150);
    expect(exists("bp.scope/a")).toBe(true);
    program.settle(program.releases);
    await gone("bp.scope/a");
  });

  it("does not lose a run that came and went within the deletion delay", async () => {
    const program = await start({ accounting: true, deletionDelayMs: 300 });
    await scratch.runToEnd("bp.scope/a");
    await until("the first report", () => program.releases.length === 1);
    await scratch.runToEnd("bp.scope/a", "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done");
    await until("the second report", () => program.releases.length === 2);
    program.settle(program.releases);
    await gone("bp.scope/a");
  });

  it("keeps a cgroup until its handler has returned, and tells its ancestors without delay", async () => {
    const program = await start({ accounting: true });
    await scratch.runToEnd("bp.scope/a/b");
    await until("both", () => program.releases.length === 2);
    expect(program.releases.map(({ snapshot }) => snapshot.path)).toEqual([
      "/bp.scope/a/b",
      "/bp.scope/a",
    ]);
    const [child, parent] = program.releases;
    if (child === undefined || parent === undefined) throw new Error("unreachable");
    program.settle([parent]);
    await pause(150);
    expect(exists("bp.scope/a/b")).toBe(true);
    expect((await program.status()).waitingCgroups).toBe(1);
    program.settle([child]);
    await gone("bp.scope/a");
    expect((await program.status()).waitingCgroups).toBe(0);
  });

  it("hands over again what it left behind when it was killed, with the same id", async () => {
    const first = await start({ accounting: true });
    await scratch.runToEnd("bp.scope/a");
    await until("the report", () => first.releases.length === 1);
    await first.kill();
    const second = await start({ accounting: true });
    await until("the report", () => second.releases.length === 1);
    expect(second.releases[0]?.snapshot.id).toBe(first.releases[0]?.snapshot.id);
    const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    expect(second.releases[0]?.snapshot.id).toMatch(new RegExp(`^${bootId}:\\d+$`));
  });

  it("follows scopes that come, go and come back, made at once with the slices above", async () => {
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
    expect(reaped(program)).toEqual(["a", "a", "a"]);
  });

  it("tells of a cgroup that somebody else removed before it could be measured", async () => {
    const program = await start({ accounting: true });
    const child = scratch.run("bp.scope/a");
    await until("it to be watched", async () => (await program.status()).watchedCgroups === 1);
    await pause(50);
    program.process.kill("SIGSTOP");
    child.kill("SIGKILL");
    await new Promise((resolve) => child.on("exit", resolve));
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
      snapshot: { path: "/bp.scope/a", report: 1 },
    });
    expect(program.log).toEqual(["a: removed by others before it was measured"]);
    expect(await program.status()).toMatchObject({
      watchedCgroups: 0,
      vanishedCgroups: 1,
      deletedCgroups: 0,
      waitingCgroups: 0,
    });
  });

  it("copes with cgroups that vanish at every step", async () => {
    const program = await start();
    for (let i = 0; i < 300; i++) {
      const path = scratch.make(`bp.scope/v${i}/child`);
      if (i % 3 === 0) await scratch.runToEnd(`bp.scope/v${i}/child`);
      if (i % 10 === 1) await pause(i % 40);
      for (const directory of [path, join(path, "..")]) {
        try {
          rmdirSync(directory);
        } catch {
          // The reaper was faster, or a process is about to leave.
        }
      }
    }
    await until("all to be gone", () => {
      for (const name of readdirSync(join(scratch.path, "bp.scope"), { withFileTypes: true }))
        if (name.isDirectory()) return false;
      return true;
    });
    const status = await program.status();
    expect(status.watchedCgroups).toBe(0);
    expect(status.inotifyWatches).toBe(2);
  });

  it("takes names of any bytes", async () => {
    const names = [
      "a\tb: cpu=1.0s",
      "'; DROP TABLE x; --",
      '"\\',
      "\xff\xfe",
      "x".repeat(255),
      "ä",
    ];
    const program = await start({ accounting: true });
    program.process.kill("SIGSTOP");
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
    expect(next.releases.map(({ snapshot }) => snapshot.path).sort()).toEqual(
      names.map((name) => `/bp.scope/${name}`).sort(),
    );
    expect(next.log.filter((line) => line.startsWith("a\\x09b: cpu=1.0s: cpu="))).toHaveLength(1);
    expect(next.log).toHaveLength(names.length);
    next.settle(next.releases);
    await until(
      "them to be deleted",
      async () => (await next.status()).deletedCgroups === names.length,
    );
  });

  it("goes on without watches, and finds with its periodic check what it could not watch", async () => {
    // The limit is that of a user namespace of its own: the host's stays as it is.
    const program = await start({ checkIntervalMs: 300 }, limited("max_inotify_watches", 4));
    scratch.make("bp.scope/a");
    scratch.make("bp.scope/b");
    await until("both to be known", async () => (await program.status()).watchedCgroups === 2);
    expect(program.log).toHaveLength(1);
    expect(program.log[0]).toContain("sysctl fs.inotify.max_user_watches is reached");
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
    expect(program.log[0]).toContain("sysctl fs.inotify.max_user_instances");
    await scratch.runToEnd("bp.scope/a");
    await gone("bp.scope/a");
    expect((await program.status()).missedChanges).toBeGreaterThan(0);
  });

  it("goes on when it may open no more files, and says which limit that is", async () => {
    const program = await start({ checkIntervalMs: 300 });
    const pid = String(program.process.pid);
    execFileSync("prlimit", ["--pid", pid, "--nofile=3:"]);
    await scratch.runToEnd("bp.scope/a");
    await until("the complaint", () => program.log.length > 0);
    expect(program.log[0]).toContain("RLIMIT_NOFILE (LimitNOFILE= of the service)");
    expect(exists("bp.scope/a")).toBe(true);
    execFileSync("prlimit", ["--pid", pid, "--nofile=1024:"]);
    await gone("bp.scope/a");
  });

  it("finds everything after the kernel's queue has overflowed", async () => {
    const program = await start();
    const before = scratch.run("bp.scope/before");
    scratch.make("bp.scope/unused");
    await until("both to be watched", async () => (await program.status()).watchedCgroups === 2);
    program.process.kill("SIGSTOP");
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

  it("reaps 5,000 cgroups that are emptied at once", async () => {
    const program = await start();
    const count = 5000;
    const names = Array.from({ length: count }, (_, i) => `bp.scope/n${i % 50}/c${i}`);
    for (const name of names) scratch.make(name);
    await until(
      "all to be watched",
      async () => (await program.status()).watchedCgroups === count + 50,
    );
    // One shell goes through all of them: as it leaves each, that one runs empty.
    program.process.kill("SIGSTOP");
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
    // The log comes over a pipe of its own, which may lag behind the status.
    await until("all to be logged", () => new Set(reaped(program)).size === count + 50);
  });

  it("loses nothing when it is killed at random moments", async () => {
    const count = 300;
    const accounted = new Set<string>();
    let isDone = false;
    const work = Promise.all(
      Array.from({ length: 6 }, async (_, worker) => {
        for (let i = worker; i < count; i += 6) {
          await scratch.runToEnd(`bp.scope/g${i % 10}-${Math.floor(i / 60)}/c${i}`);
          await pause(20);
        }
      }),
    ).finally(() => {
      isDone = true;
    });
    let kills = 0;
    while (!isDone) {
      const program = await start({ accounting: true, deletionDelayMs: 10 });
      const end = performance.now() + 40 + Math.random() * 200;
      while (performance.now() < end) {
        settle(program, accounted, 0.9);
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
        settle(last, accounted, 1);
        return readdirSync(join(scratch.path, "bp.scope")).every((name) => !/^g\d/.test(name));
      },
      20_000,
    );
    expect(kills).toBeGreaterThan(3);
    const paths = [...accounted].filter((path) => /\/c\d+$/.test(path));
    expect(paths).toHaveLength(count);
  });

  it("deletes on its end what is settled and not due yet", async () => {
    const program = await start({ deletionDelayMs: 60_000 });
    await scratch.runToEnd("bp.scope/a");
    await until("the report", () => reaped(program).length === 1);
    expect(await program.stop()).toBe(0);
    expect(exists("bp.scope/a")).toBe(false);
  });
});

describe("a tree of files that looks like cgroups with all controllers", () => {
  let root = "";
  beforeAll(() => {
    buildReaperProgram();
    root = mkdtempSync(join(tmpdir(), "fake-cgroups-"));
  });
  afterAll(async () => {
    await Promise.all(programs.splice(0).map((program) => program.kill()));
    rmSync(root, { recursive: true });
  });

  it("is measured and reported with every field", async () => {
    const path = join(root, "a.scope/job");
    mkdirSync(path, { recursive: true });
    const files = {
      "cgroup.events": "populated 1\nfrozen 0\n",
      "cpu.stat": "usage_usec 1800000\nuser_usec 1200000\nsystem_usec 600000\n",
      "memory.peak": "536870912\n",
      "memory.events": "low 0\nhigh 1\nmax 2\noom 1\noom_kill 1\n",
      "pids.peak": "4\n",
      "pids.forks": "5\n",
      "pids.events": "max 2\n",
      "io.stat": "8:0 rbytes=1 wbytes=2 rios=3 wios=4\n",
      "cpu.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=7\n",
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text);
    symlinkSync("io.pressure", join(path, "io.pressure"));
    const program = new ReaperProgram({ root: bytesOfText(root), accounting: true });
    programs.push(program);
    await program.status();
    writeFileSync(join(path, "cgroup.events"), "populated 0\nfrozen 0\n");
    await until("the release", () => program.releases.length === 1);
    expect(program.releases[0]?.snapshot).toMatchObject({
      path: "/a.scope/job",
      memoryPeakBytes: 536870912,
      ioReadBytes: 1,
      ioWrites: 4,
      cpuPressureUsec: 7,
      ioPressureUsec: undefined,
    });
    await until("the log", () => program.log.length === 2);
    expect(program.log[0]).toEqual(
      expect.stringMatching(/^cannot read io\.pressure of a cgroup: ELOOP: /),
    );
    expect(program.log[1]).toMatch(
      /^job: since=\S+ cpu=1\.8s\/1\.2s\/0\.6s(\[\d+%\])? memory=512M reclaim=3 oom=1 procs=4 forks=5\S* procs_rejected=2$/,
    );
    program.settle(program.releases);
    await until("the failed deletion", () => program.log.length === 3);
    expect(program.log[2]).toContain("cannot delete /a.scope/job: unlinkat(");
  });
});
