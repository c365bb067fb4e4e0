/**
 * Makes system calls fail for one client, which gets an error or is disconnected; others are not
 * affected.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { isErrno, MSG_DONTWAIT } from "@cm4all/linux";
import { missing } from "@cm4all/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { request, TestClient } from "./support/client.ts";
import { storeThread, TestDaemon, until } from "./support/daemon.ts";
import { as, Peer } from "./support/peer.ts";

const ALL = request("name", { ipc: true, pid: true, lease: true, user: {} });

/** The system calls of the thread that answers, except epoll_pwait, which its loop needs. */
const FAULTS = [
  ...["ENOMEM", "ENOBUFS"].map((error) => `sendmsg:error=${error}`),
  ...["ENOMEM", "ENOBUFS", "EMFILE", "ENFILE"].map((error) => `accept4:error=${error}`),
  ...["ENOMEM", "ENOSPC"].map((error) => `epoll_ctl:error=${error}`),
  ...["ENOMEM", "ENOBUFS"].map((error) => `recvmsg:error=${error}`),
  ...["ENOMEM", "ENOBUFS"].map((error) => `setsockopt:error=${error}`),
  ...["ENOMEM", "EFAULT"].map((error) => `getsockopt:error=${error}`),
  ...["ENOMEM", "EMFILE", "ENFILE", "ENOSPC"].map((error) => `openat:error=${error}`),
  ...["ENOMEM", "ENOSPC"].map((error) => `mount:error=${error}`),
  ...["ENOMEM", "ENOSPC"].map((error) => `unshare:error=${error}`),
  ...["ENOMEM", "EAGAIN"].map((error) => `clone,clone3,vfork:error=${error}`),
  "mkdirat,mkdir,mknodat:error=ENOSPC",
  "pidfd_open:error=ENOMEM",
];

/** Sends requests, unless the connection is already closed. */
function trySend(client: TestClient): void {
  try {
    client.send(ALL);
  } catch (error) {
    if (!isErrno(error, "EPIPE", "ECONNRESET")) throw error;
  }
}

const cannotRun = missing("root", "catatonit", "strace", "gcc") !== undefined;

describe.skipIf(cannotRun)("the thread that answers", () => {
  let daemon: TestDaemon;
  let peer: Peer;
  beforeEach(async () => {
    peer = new Peer();
    daemon = await TestDaemon.start({ config: "[namespaces]\nallow_uids = [1001]\n" });
  });
  afterEach(async () => {
    await daemon.stop();
    peer[Symbol.dispose]();
  });

  /** Runs `work` while all calls of this kind fail for the thread. */
  async function whileFailing(fault: string, work: () => Promise<void>): Promise<void> {
    const tid = storeThread(daemon).split("/").at(-1) ?? "";
    const args = ["-p", tid, "-e", `trace=${fault.split(":")[0]}`, "-e", `inject=${fault}`];
    const strace = spawn("strace", args, { stdio: ["ignore", "ignore", "pipe"] });
    try {
      let said = "";
      strace.stderr.on("data", (data) => {
        said += data;
      });
      await until(() => said.includes("attached"), "the thread is traced");
      await work();
    } finally {
      const ended = once(strace, "exit");
      // strace also ends with the process that it traces.
      if (strace.exitCode === null && strace.kill("SIGINT")) await ended;
    }
  }

  it.each(FAULTS)("survives %s", async (fault) => {
    using before = daemon.connect();
    before.inodes("before", { ipc: true });
    await whileFailing(fault, async () => {
      const clients = [new TestClient(daemon.address), new TestClient(daemon.address), before];
      for (const client of clients) trySend(client);
      // An answer, an error, the end of the connection, or nothing yet: each is allowed.
      for (let i = 0; i < 20; i++) {
        for (const client of clients) {
          const answer = client.tryReceive(MSG_DONTWAIT);
          if (answer?.kind === "handles") answer.answer[Symbol.dispose]();
        }
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      for (const client of clients.slice(0, 2)) client[Symbol.dispose]();
    });
    for (const who of [[], as({ capabilities: ["sys_admin"] }), as({ uid: 1001 })])
      await until(() => peer.run(who, daemon.address, ALL)[0] === "handles", "all are served");
    expect(daemon.log).not.toMatch(/crashed|\n +at /);
    expect((await daemon.status()).names).toBeGreaterThan(0);
  });

  it.each(["ENOMEM", "ENOBUFS"])(
    "keeps the queue as it is if listen fails with %s",
    async (code) => {
      await whileFailing(`listen:error=${code}`, async () => {
        await peer.start(as({}), daemon.address, ALL, ["--flood"]);
        await until(() => daemon.log.includes("keeps its length"), "it has failed");
        expect(peer.run([], daemon.address, ALL)[0]).toBe("handles");
        await peer.endAll();
      });
      expect(peer.run([], daemon.address, ALL)[0]).toBe("handles");
      expect(daemon.log).toMatch(`the queue of connections keeps its length: listen`);
      expect(daemon.log).not.toMatch(/crashed|\n +at /);
    },
  );

  it("closes later what may take long if no process can be created for it", async () => {
    const sink = createServer().listen(0, "127.0.0.1");
    await once(sink, "listening");
    const port = String((sink.address() as AddressInfo).port);
    const ask = () => {
      using client = daemon.connect();
      client.inodes("name", { ipc: true });
    };
    ask();
    const before = await daemon.restingDescriptorCount();
    await whileFailing("clone:error=EAGAIN", async () => {
      await peer.start(as({}), daemon.address, ALL, ["--linger", port]);
      // More than two attempts.
      await sleep(1000);
      expect(daemon.descriptorCount()).toBeGreaterThan(before);
      ask();
    });
    await until(() => daemon.descriptorCount() <= before, "it is closed");
    expect(daemon.log).not.toMatch(/crashed|\n +at /);
    await peer.endAll();
    sink.close();
  });

  it("ends the process with a stack trace on an unexpected error", async () => {
    await whileFailing("epoll_wait,epoll_pwait:error=EPERM:when=1", async () => {
      using client = daemon.connect();
      trySend(client);
      await until(() => daemon.child.exitCode !== null, "it has ended");
    });
    expect(daemon.child.exitCode).toBe(70);
    await until(() => daemon.log.includes("crashed"), "its log has come");
    expect(daemon.log).toMatch(/crashed: SyscallError: epoll_wait.*EPERM.*\\n +at /);
  });

  // Of a start of an init: out of the store, back from the PID namespace, back into the store.
  it.each([
    [2, "PID namespace"],
    [3, "mount namespace"],
  ])("ends the process in one line if setns %s, back to its %s, fails", async (call, place) => {
    using client = daemon.connect();
    await whileFailing(`setns:error=ENOMEM:when=${call}`, async () => {
      client.send(request("name", { pid: true }));
      await until(() => daemon.child.exitCode !== null, "it has ended");
    });
    expect(daemon.child.exitCode).toBe(71);
    const lines = daemon.log.split("\n").filter((line) => line.includes("wrong"));
    expect(lines).toEqual([expect.stringContaining(`the thread is in the wrong ${place}: `)]);
    expect(daemon.log).not.toMatch(/\n +at /);
  });
});
