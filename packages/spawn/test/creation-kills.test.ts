/**
 * Kills the daemon at a system call while it creates a name or namespaces: the next daemon uses or
 * removes what was begun. With `TORTURE=all`, every such call is tried, otherwise a few.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { MSG_DONTWAIT } from "@cm4all/linux";
import { commandLine, missing, ScratchCgroup } from "@cm4all/testing";
import { describe, expect, it, onTestFinished } from "vitest";
import { request, TestClient, type Wanted } from "./support/client.ts";
import { storeThread, type TestDaemon, until } from "./support/daemon.ts";
import { FakeManager } from "./support/manager.ts";

const ALL = { ipc: true, pid: true, user: { uidMap: "0 1000 1" }, lease: true };

/** The system calls from a request to its answer; those of inits and children are not traced. */
const CALLS = [
  ...["recvmsg", "read", "openat", "readlinkat", "mkdirat", "mknodat", "write", "close", "unshare"],
  ...["setns", "mount", "clone", "clone3", "vfork", "pidfd_open", "epoll_ctl", "waitid", "wait4"],
  ...["statx", "newfstatat", "fchdir", "chroot", "sendmsg", "kill", "prctl", "fcntl", "unlinkat"],
];
const SOME = ["mkdirat", "mount", "unshare", "pidfd_open", "sendmsg"];

const isTorture = process.env["TORTURE"] === "all";
const cannotRun = missing("root", "catatonit", "cgroup2", "strace") !== undefined;

/**
 * Asks for a name, and kills the daemon when the thread that answers makes the system call `call`
 * for the `nth` time.
 * @returns whether the daemon was killed
 */
async function killAt(daemon: TestDaemon, call: string, nth: number, name: string) {
  const tid = storeThread(daemon).split("/").at(-1) ?? "";
  const inject = `inject=${call}:signal=SIGKILL:when=${nth}`;
  const strace = spawn("strace", ["-p", tid, "-e", `trace=${call}`, "-e", inject], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  strace.stderr.on("data", (data) => {
    said += data;
  });
  let isClosed = false;
  const ended = once(strace, "close").then(() => {
    isClosed = true;
  });
  await until(() => said.includes("attached") || isClosed, "the thread is traced");
  if (!said.includes("attached")) throw new Error(`strace of ${call}, ${nth}: ${said}`);
  using client = new TestClient(daemon.address);
  client.send(request(name, ALL));
  const isDead = () => daemon.child.signalCode !== null;
  await until(() => isDead() || client.tryReceive(MSG_DONTWAIT) !== undefined, "it is answered");
  strace.kill("SIGINT");
  await ended;
  // The call may have come after the answer: if no status comes, the daemon was killed.
  await daemon.status().catch(() => until(isDead, "it is dead"));
  return isDead();
}

function inodesOf(daemon: TestDaemon, name: string, wanted: Wanted) {
  using client = daemon.connect();
  return client.inodes(name, wanted);
}

describe.skipIf(cannotRun)("a daemon that is killed while it creates", () => {
  it.each([
    ["a name", undefined],
    ["further namespaces of a name", { ipc: true }],
  ])("%s leaves nothing behind", { timeout: isTorture ? 1_500_000 : 180_000 }, async (_, had) => {
    const manager = new FakeManager();
    const cgroup = new ScratchCgroup();
    const options = { cgroupProcs: `${cgroup.path}/cgroup.procs` };
    let daemon = await manager.start(options);
    onTestFinished(async () => {
      await daemon.stop();
      await manager.close();
      await cgroup.remove();
    });
    const inits = () =>
      readFileSync(`${cgroup.path}/cgroup.procs`, "utf8")
        .split("\n")
        .filter((pid) => pid !== "" && commandLine(Number(pid))[0]?.startsWith("init ") === true);
    const kills: Record<string, number> = {};
    for (const call of isTorture ? CALLS : SOME)
      for (let nth = 1; isTorture || nth === 1; nth++) {
        const name = `${call} ${nth}`;
        const before = had && inodesOf(daemon, name, had);
        if (!(await killAt(daemon, call, nth, name))) break;
        kills[call] = nth;
        daemon = await manager.start(options);
        const { names, kept } = await daemon.status();
        expect(names).toBe(readdirSync(`${storeThread(daemon)}/root/names`).length);
        await until(() => inits().length === kept.pid, "each init has a name");
        expect(inodesOf(daemon, name, ALL)).toMatchObject(before ?? {});
      }
    const sum = Object.values(kills).reduce((a, b) => a + b, 0);
    console.log(`${sum} kills, at: ${JSON.stringify(kills)}`);
    expect(Object.keys(kills).length).toBeGreaterThanOrEqual(SOME.length - 1);
    await daemon.control({ command: "purge-namespaces", onlyIdle: false });
    await until(() => inits().length === 0, "no init is left");
    expect(readdirSync(`${storeThread(daemon)}/root/names`)).toEqual([]);
  });
});
