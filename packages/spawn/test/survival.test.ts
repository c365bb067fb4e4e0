import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { MSG_DONTWAIT } from "@cm4all/linux";
import { commandLine, isAlive, missing, ScratchCgroup, stopProcess } from "@cm4all/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Answer, inodeOf, request, TestClient } from "./support/client.ts";
import { kill, killGroup, type TestDaemon, until } from "./support/daemon.ts";
import { FakeManager } from "./support/manager.ts";

const ALL = { ipc: true, pid: true, user: { uidMap: "0 1000 1", gidMap: "0 1000 1" } };

/** Returns the pids of the inits in the daemon's cgroup, by name. */
function initsOf(cgroup: ScratchCgroup): Map<string, number> {
  const pids = readFileSync(`${cgroup.path}/cgroup.procs`, "utf8").split("\n").filter(Boolean);
  return new Map(
    pids.flatMap((pid) => {
      const [title] = commandLine(Number(pid));
      return title?.startsWith("init ") === true ? [[title.slice(5), Number(pid)]] : [];
    }),
  );
}

/**
 * Waits for the inits of these names, and returns all inits: an init's command line cannot be
 * read until a moment after its start.
 */
async function initsWith(
  cgroup: ScratchCgroup,
  ...names: readonly string[]
): Promise<Map<string, number>> {
  await until(() => {
    const inits = initsOf(cgroup);
    return names.every((name) => inits.has(name));
  }, `the inits of ${names.length} names are visible`);
  return initsOf(cgroup);
}

describe.skipIf(missing("root", "catatonit", "cgroup2") !== undefined)("the daemon", () => {
  let manager: FakeManager;
  let cgroup: ScratchCgroup;
  let daemon: TestDaemon;

  const start = (config = "") =>
    manager.start({ config, cgroupProcs: `${cgroup.path}/cgroup.procs` });

  beforeEach(async () => {
    manager = new FakeManager();
    cgroup = new ScratchCgroup();
    daemon = await start();
  });

  afterEach(async () => {
    await daemon.stop();
    await manager.close();
    await cgroup.remove();
  });

  it.each(["SIGTERM", "SIGKILL"] as const)(
    "keeps namespaces, inits and leases across a restart after %s",
    async (signal) => {
      const client = daemon.connect();
      const names = Array.from({ length: 20 }, (_, i) => `name ${i} /../ ${"x".repeat(i * 10)}`);
      const before = names.map((name) => client.inodes(name, ALL));
      // posix_spawn(3) returns a moment before the new command line can be read.
      await until(() => initsOf(cgroup).size === names.length, "all inits have their names");
      const inits = initsOf(cgroup);
      expect([...inits.keys()].sort()).toEqual([...names].sort());
      const lease = client.ask("leased", { ipc: true, lease: true });
      client[Symbol.dispose]();
      for (let round = 0; round < 3; round++) {
        await daemon.end(signal);
        daemon = await start("[namespaces]\nexpire_seconds = 30\n");
        using again = daemon.connect();
        expect(names.map((name) => again.inodes(name, ALL))).toEqual(before);
        expect(again.inodes("leased", { ipc: true }).ipc).toBe(inodeOf(lease.ipc));
        expect(initsOf(cgroup)).toEqual(inits);
        expect((await daemon.status()).leasedNames).toBe(1);
      }
      // However often the daemon was restarted, only one descriptor is stored.
      expect(manager.store.length).toBe(1);
      lease[Symbol.dispose]();
      await until(async () => (await daemon.status()).leasedNames === 0, "the lease is gone");
    },
  );

  it("notices after a restart what happened while it was down", async () => {
    using client = daemon.connect();
    const lease = client.ask("lease closed", { pid: true, lease: true });
    // Held open, because the inode number of a namespace that is gone may be reused.
    using first = client.ask("init killed", { pid: true, ipc: true });
    client.inodes("idle", { ipc: true });
    const inits = await initsWith(cgroup, "init killed");
    await daemon.end("SIGKILL");
    kill(inits.get("init killed"));
    lease[Symbol.dispose]();
    daemon = await start("[namespaces]\nexpire_seconds = 1\n");
    using again = daemon.connect();
    const second = again.inodes("init killed", { pid: true, ipc: true });
    expect(second.ipc).toBe(inodeOf(first.ipc));
    expect(second.pid).not.toBe(inodeOf(first.pid));
    await until(async () => (await daemon.status()).names === 0, "all names have expired");
    await until(() => initsOf(cgroup).size === 0, "all inits have ended");
  });

  it("watches restored inits", async () => {
    using client = daemon.connect();
    using before = client.ask("watched", { pid: true });
    await daemon.end("SIGKILL");
    daemon = await start();
    kill(initsOf(cgroup).get("watched"));
    await daemon.untilLogged("the init of watched ended");
    using again = daemon.connect();
    expect(again.inodes("watched", { pid: true }).pid).not.toBe(inodeOf(before.pid));
  });

  it("restores 10,000 names", { timeout: 180_000 }, async () => {
    await daemon.stop();
    const config = "[namespaces]\nmax_names_per_uid = 10000\n";
    daemon = await start(config);
    const client = daemon.connect();
    const name = (i: number) => `many-${i}`;
    const wanted = (i: number) => ({ ipc: true, pid: i % 20 === 0 });
    const before = Array.from({ length: 10_000 }, (_, i) => client.inodes(name(i), wanted(i)));
    const leases: Answer[] = [];
    for (let i = 0; i < 10_000; i += 10) leases.push(client.ask(name(i), { lease: true }));
    client[Symbol.dispose]();
    await daemon.end("SIGKILL");
    const startMs = performance.now();
    daemon = await start(config);
    console.log(`restored 10,000 names in ${Math.round(performance.now() - startMs)} ms`);
    using again = daemon.connect();
    expect(before.map((_, i) => again.inodes(name(i), wanted(i)))).toEqual(before);
    const status = await daemon.status();
    expect(status.names).toBe(10_000);
    expect(status.leasedNames).toBe(leases.length);
    for (const lease of leases) lease[Symbol.dispose]();
    await until(async () => (await daemon.status()).leasedNames === 0, "the leases are gone");
  });

  it("lets no connection or request of a client fail during restarts", async () => {
    let isOver = false;
    let answers = 0;
    let longestMs = 0;
    const load = async () => {
      while (!isOver) {
        const startMs = performance.now();
        using client = new TestClient(manager.address);
        client.send(request(`load ${answers % 10}`, { ipc: true, pid: true }));
        // This thread starts the daemon, so it must not block in a system call.
        for (;;) {
          await sleep(1);
          const raw = client.tryReceive(MSG_DONTWAIT);
          if (raw === undefined) continue;
          if (raw.kind !== "handles") throw new Error(JSON.stringify(raw));
          raw.answer[Symbol.dispose]();
          break;
        }
        answers++;
        longestMs = Math.max(longestMs, performance.now() - startMs);
      }
    };
    const clients = Promise.all([load(), load(), load(), load()]);
    for (let round = 0; round < 5; round++) {
      await sleep(200);
      await daemon.end("SIGTERM");
      daemon = await start();
    }
    isOver = true;
    await clients;
    // On average, each of the four clients gets more than one answer in each of the five rounds.
    expect(answers).toBeGreaterThan(20);
    console.log(
      `${answers} answers over 5 restarts, the longest after ${Math.round(longestMs)} ms`,
    );
  });

  it("adopts busy inits whose store is lost, and ends idle ones", async () => {
    using client = daemon.connect();
    const busy = client.ask("busy", { pid: true });
    client.inodes("idle", { pid: true });
    const child = spawn("nsenter", ["--pid=/proc/self/fd/3", "sleep", "100"], {
      stdio: ["ignore", "inherit", "inherit", busy.pid?.number],
      detached: true,
    });
    const inits = await initsWith(cgroup, "busy", "idle");
    await until(
      () => readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8") !== "",
      "sleep runs",
    );
    await daemon.end("SIGKILL");
    for (const { fd } of manager.store.splice(0)) closeSync(fd);
    daemon = await start();
    using again = daemon.connect();
    expect(again.inodes("busy", { pid: true }).pid).toBe(inodeOf(busy.pid));
    expect(isAlive(inits.get("busy") ?? 0)).toBe(true);
    await until(() => !isAlive(inits.get("idle") ?? 0), "the idle init has ended");
    killGroup(child);
    busy[Symbol.dispose]();
  });

  it("starts anew if the stored descriptor is useless", async () => {
    await daemon.end("SIGTERM");
    for (const { fd } of manager.store.splice(0)) closeSync(fd);
    manager.store.push({ fd: openSync("/dev/null", "r"), name: "namespaces" });
    daemon = await start();
    await daemon.untilLogged("starting with an empty store");
    await until(() => manager.store.length === 1, "the new store is stored");
    using client = daemon.connect();
    const before = client.inodes("new", ALL);
    await daemon.end("SIGTERM");
    daemon = await start();
    using again = daemon.connect();
    expect(again.inodes("new", ALL)).toEqual(before);
  });

  it("needs no restart if the service manager hangs for a while", async () => {
    manager.isStalled = true;
    using client = daemon.connect();
    for (let i = 0; i < 200; i++) {
      client.inodes(`stuck-${i}`, { ipc: true });
      if (i % 50 === 0) await sleep(1100);
    }
    manager.isStalled = false;
  });

  it("needs no restart to purge names", async () => {
    using client = daemon.connect();
    const lease = client.ask("leased", { pid: true, lease: true });
    client.inodes("idle", { pid: true });
    expect(await daemon.control({ command: "purge-namespaces", onlyIdle: true })).toEqual({
      ended: 1,
      left: 1,
    });
    expect(await daemon.control({ command: "purge-namespaces", onlyIdle: false })).toEqual({
      ended: 1,
      left: 0,
    });
    await until(() => initsOf(cgroup).size === 0, "all inits have ended");
    lease[Symbol.dispose]();
  });
});

describe.skipIf(missing("root", "catatonit") !== undefined)("notifications", () => {
  it("report the start, a reload and the stop, and feed the watchdog", async () => {
    const manager = new FakeManager();
    const daemon = await manager.start({ env: { WATCHDOG_USEC: "300000" } });
    try {
      await until(
        () => manager.lines.filter((line) => line === "WATCHDOG=1").length > 2,
        "it is fed",
      );
      daemon.child.kill("SIGHUP");
      await until(
        () => manager.lines.filter((line) => line === "READY=1").length === 2,
        "it is reloaded",
      );
      expect(manager.lines.find((line) => line.startsWith("MONOTONIC_USEC="))).toBeDefined();
      using client = daemon.connect();
      client.inodes("counted", { ipc: true });
      await until(() => manager.lines.includes("STATUS=1 name"), "the status is reported");
    } finally {
      await daemon.stop();
      await until(() => manager.lines.includes("STOPPING=1"), "the stop is reported");
      await manager.close();
    }
  });

  it("that the service manager does not take are logged, and clients are served", async () => {
    const manager = new FakeManager();
    manager.stall();
    const daemon = manager.spawn();
    try {
      await daemon.untilLogged("the service manager does not answer: namespaces may not survive");
      await daemon.untilLogged("the service manager does not take READY=1");
      using client = daemon.connect();
      client.inodes("served", { ipc: true });
    } finally {
      await daemon.stop();
      await manager.close();
    }
  });

  it("for the watchdog are not sent while the daemon hangs", async () => {
    const manager = new FakeManager();
    const daemon = await manager.start({ env: { WATCHDOG_USEC: "300000" } });
    const fed = () => manager.lines.filter((line) => line === "WATCHDOG=1").length;
    await until(() => fed() > 1, "it is fed");
    // From outside, a stopped process looks like one whose threads hang.
    stopProcess(daemon.child.pid);
    await sleep(200);
    const before = fed();
    await sleep(600);
    expect(fed()).toBe(before);
    daemon.child.kill("SIGCONT");
    await until(() => fed() > before, "it is fed again");
    await daemon.stop();
    await manager.close();
  });
});
