/** Runs the reaper on files that look like cgroups with all controllers, which few hosts have. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tryParseRecord } from "@cm4all/cgroup";
import { bytesOfText, latin1Of } from "@cm4all/linux";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { LOG_DEBUG, type Logger } from "../src/log/log.ts";
import { zeroCounts } from "../src/metrics/declaration.ts";
import type { Release } from "../src/reaper/messages.ts";
import { REAPER_METRICS, type ReaperCounts } from "../src/reaper/metrics.ts";
import { OpenRoot } from "../src/reaper/open-root.ts";
import type { TellMain } from "../src/reaper/outbox.ts";
import { Reaper } from "../src/reaper/reaper.ts";
import { EventLoop } from "../src/thread/event-loop.ts";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "fake-cgroups-"));
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(directory, { recursive: true });
});

/** A reaper on this thread, with its event loop, counters and log. */
interface Running {
  reaper: Reaper;
  readonly loop: EventLoop;
  readonly counts: ReaperCounts;
  readonly log: string[];
}

/** Runs a reaper until it is told to stop. @param main returns the receiver of the messages */
function run(main: (running: Running) => TellMain): Running {
  const log: string[] = [];
  const loop = new EventLoop();
  const counts = zeroCounts(REAPER_METRICS);
  const root = new OpenRoot(bytesOfText(directory));
  const options = {
    root: bytesOfText(directory),
    scopes: ["*.scope"],
    deletionDelayMs: 50,
    checkIntervalMs: 300_000,
    unusedMs: 10_000,
    interimMs: 0,
    verbose: false,
    accounting: true,
  };
  const note: Logger = (priority, text) => {
    if (priority !== LOG_DEBUG) log.push(text);
  };
  const tell: TellMain = { post: (name, ...args) => main(running).post(name, ...args) };
  const reaper = new Reaper(options, root, loop, counts, note, tell);
  const running = { reaper, loop, counts, log };
  try {
    reaper.start();
    loop.run();
  } finally {
    reaper.close();
    root.close();
    loop.close();
  }
  return running;
}

it("the reaper measures and reports a cgroup with every field, and logs what it cannot do", () => {
  const path = join(directory, "a.scope/job");
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

  const told: [name: string, value: unknown][] = [];
  const { log, counts } = run(({ reaper, loop }) => ({
    post: (name, ...[value]) => {
      told.push([name, value]);
      if (name === "scanned") writeFileSync(join(path, "cgroup.events"), "populated 0\nfrozen 0\n");
      if (name === "released") reaper.handlers.commands.journalled([1], 0);
      // By then, the deletion has failed.
      if (name === "released") loop.after(100, () => reaper.handlers.commands.stop());
    },
  }));

  expect(told.map(([name]) => name)).toEqual(["scanned", "released"]);
  const [release] = (told[1]?.[1] ?? []) as readonly Release[];
  expect(release).toMatchObject({ number: 1, isFound: false, vanished: false });
  expect(tryParseRecord(release?.record.json ?? "")).toEqual({
    xattrs: [],
    snapshot: expect.objectContaining({
      path: "/a.scope/job",
      memoryPeakBytes: 536870912,
      ioReadBytes: 1,
      ioWrites: 4,
      cpuPressureUsec: 7,
    }),
  });
  expect(release?.record.json).not.toContain("ioPressureUsec");
  expect(log[0]).toMatch(/^cannot read io\.pressure of a cgroup: open\(.*\): ELOOP: /);
  expect(log[1]).toMatch(
    /^job: since=\S+ cpu=1\.8s\/1\.2s\/0\.6s(\[\d+%\])? memory=512M reclaim=3 oom=1 procs=4 forks=5\S* procs_rejected=2$/,
  );
  expect(log[2]).toContain("cannot delete /a.scope/job: unlinkat(");
  expect(counts.scopeMemoryPeakBytes["/a.scope"]?.sum).toBe(536870912);
});

it("the reaper reports the end of its scan only after it has opened all cgroups, and reports those that it opened late as found at startup", () => {
  const path = join(directory, "a.scope/job");
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, "cgroup.events"), "populated 0\n");
  writeFileSync(join(path, "cpu.stat"), "usage_usec 1800000\n");
  const { withDirectory } = OpenRoot.prototype;
  let refusals = 2;
  vi.spyOn(OpenRoot.prototype, "withDirectory").mockImplementation(function (
    this: OpenRoot,
    at,
    use,
  ) {
    if (latin1Of(at) === "/a.scope/job" && refusals-- > 0)
      throw Object.assign(new Error("too many open files"), { code: "EMFILE" });
    return withDirectory.call(this, at, use) as never;
  });
  const told: string[] = [];
  const releases: Release[] = [];
  let wasOpened = false;
  const { log } = run(({ reaper }) => ({
    post: (name, ...[value]) => {
      told.push(name);
      if (name === "scanned") wasOpened = refusals < 0;
      if (name === "released") releases.push(...(value as readonly Release[]));
      if (told.includes("scanned") && told.includes("released")) reaper.handlers.commands.stop();
    },
  }));
  expect(told.sort()).toEqual(["released", "scanned"]);
  expect(wasOpened).toBe(true);
  expect(releases).toEqual([expect.objectContaining({ isFound: true, vanished: false })]);
  expect(log.filter((line) => line.includes("accounting waits until they can be"))).toHaveLength(1);
});

it("the reaper lets other work run while 1,500 cgroups become empty at once, and reports them in several messages", () => {
  const count = 1500;
  const events = (i: number) => join(directory, "a.scope", `job${i}`, "cgroup.events");
  for (let i = 0; i < count; i++) {
    mkdirSync(join(directory, "a.scope", `job${i}`), { recursive: true });
    writeFileSync(events(i), "populated 1\n");
  }
  let released = 0;
  let messages = 0;
  let isDone = false;
  const between = new Set<number>();
  run(({ reaper, loop }) => ({
    post: (name, ...[value]) => {
      if (name === "scanned") {
        for (let i = 0; i < count; i++) writeFileSync(events(i), "populated 0\n");
        const look = () => {
          between.add(released);
          if (!isDone) loop.after(0, look);
        };
        look();
      }
      if (name !== "released") return;
      messages++;
      released += (value as readonly unknown[]).length;
      isDone = released === count;
      if (isDone) reaper.handlers.commands.stop();
    },
  }));
  expect(released).toBe(count);
  expect(messages).toBeGreaterThan(1);
  expect(between.size).toBeGreaterThan(2);
});
