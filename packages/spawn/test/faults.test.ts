/**
 * Injects errors into system calls of the thread that answers clients. Clients may get an error or
 * be disconnected meanwhile; the daemon goes on if it can, and serves later clients.
 */
import { once } from "node:events";
import { readdirSync, rmSync, statSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { isErrno, MSG_DONTWAIT } from "@cm4all/linux";
import { missing, readProc, ScratchCgroup } from "@cm4all/testing";
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { STRANGERS as MOST_LOOKED_AT } from "../src/namespaces/requests/stranger-budget.ts";
import { inodeOf, request, TestClient } from "./support/client.ts";
import { kill, storeThread, TestDaemon, until } from "./support/daemon.ts";
import { whileFailing } from "./support/faults.ts";
import { as, Peer } from "./support/peer.ts";
import { Pipe, redirectTo } from "./support/pipe.ts";

const ALL = request("name", { ipc: true, pid: true, lease: true, user: {} });

/**
 * Faults of system calls of the thread that answers, except epoll_pwait(2), which the event loop
 * needs.
 */
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
  ...["recvfrom", "shutdown", "capget"].map((call) => `${call}:error=ENOMEM`),
  "stat,newfstatat,statx,readlink,readlinkat:error=ENOMEM",
  // The first call succeeds: it may add a watch, which later calls then cannot remove.
  "epoll_ctl:error=ENOMEM:when=2+",
];

/** The system calls with which the daemon ends a namespace or a name. */
const END_FAULTS = ["umount2", "unlink,unlinkat", "stat,newfstatat,statx"];

const STRANGERS = 20;

/** Sends a request, unless the connection is already closed. */
function trySend(client: TestClient): void {
  try {
    client.send(ALL);
  } catch (error) {
    if (!isErrno(error, "EPIPE", "ECONNRESET")) throw error;
  }
}

const cannotRun = missing("root", "catatonit", "cgroup2", "strace", "gcc") !== undefined;

describe.skipIf(cannotRun)("the thread that answers", () => {
  // If a test makes the daemon fail, its inits stay, and end with the cgroup.
  let cgroup: ScratchCgroup;
  let daemon: TestDaemon;
  let peer: Peer;
  beforeEach(async () => {
    peer = new Peer();
    cgroup = new ScratchCgroup();
    daemon = await TestDaemon.start({
      config: "[namespaces]\nallow_uids = [1001]\n",
      cgroupProcs: `${cgroup.path}/cgroup.procs`,
    });
  });
  afterEach(async () => {
    await daemon.stop();
    await cgroup.remove();
    peer[Symbol.dispose]();
  });

  /** Runs `work` while calls of the namespace thread fail. */
  function whileThreadFails(
    faults: string | readonly string[],
    work: () => Promise<void>,
  ): Promise<void> {
    return whileFailing(storeThread(daemon).split("/").at(-1) ?? "", [faults].flat(), work);
  }

  const storedNames = () => `${storeThread(daemon)}/root/names`;

  /** Returns the inodes of the namespaces in the store, which has one name. */
  function storedInodes(): { ipc: number; pid: number } {
    const [id] = readdirSync(storedNames());
    const inode = (kind: string) => statSync(`${storedNames()}/${id}/${kind}`).ino;
    return { ipc: inode("ipc"), pid: inode("pid") };
  }

  /**
   * Connects strangers (peers without permission), which send a datagram, or only wait if the
   * datagram is empty.
   */
  async function hold(datagram: Uint8Array | ""): Promise<void> {
    await peer.start(as({}), daemon.address, Buffer.from(datagram), ["--hold", String(STRANGERS)]);
  }

  /** Expects that all names can be ended, and that nothing of them is left. */
  async function expectAllEnd(): Promise<void> {
    const { names } = await daemon.status();
    const ended = await daemon.control({ command: "purge-namespaces", onlyIdle: false });
    expect(ended).toEqual({ ended: names, left: 0 });
    expect(readdirSync(storedNames())).toEqual([]);
    await until(() => daemon.childPids().length === 0, "no init is left");
    expect(daemon.log).not.toMatch(/crashed|(?:\n| \|) *at /);
  }

  it.each(FAULTS)("survives %s", async (fault) => {
    using before = daemon.connect();
    before.inodes("before", { ipc: true });
    await hold("");
    await whileThreadFails(fault, async () => {
      await hold(ALL);
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
      await peer.endAll();
    });
    for (const who of [[], as({ capabilities: ["sys_admin"] }), as({ uid: 1001 })])
      await until(() => peer.run(who, daemon.address, ALL)[0] === "handles", "all are served");
    expect(daemon.log).not.toMatch(/crashed|(?:\n| \|) *at /);
    expect((await daemon.status()).names).toBeGreaterThan(0);
  });

  it.each(END_FAULTS)("goes on if an init dies while %s fails", async (calls) => {
    using client = daemon.connect();
    const before = client.inodes("name", { ipc: true, pid: true });
    await whileThreadFails(`${calls}:error=ENOMEM`, async () => {
      for (const pid of daemon.childPids()) process.kill(pid, "SIGKILL");
      await until(async () => (await daemon.status()).initDeaths === 1, "it is noticed");
      expect(client.inodes("name", { ipc: true })).toEqual({ ipc: before.ipc });
    });
    await daemon.untilLogged("the file of a namespace cannot be removed for now: ");
    const after = client.inodes("name", { ipc: true, pid: true });
    expect(after.ipc).toBe(before.ipc);
    expect(storedInodes()).toEqual(after);
    await expectAllEnd();
  });

  it.each([
    ...[...END_FAULTS, "rmdir", "open,openat", "pidfd_send_signal"].map(
      (calls) => `${calls}:error=ENOMEM`,
    ),
    // When the second call fails, half of the name has already been removed.
    ...["umount2", "unlink,unlinkat"].map((calls) => `${calls}:error=ENOMEM:when=2`),
  ])("ends a name later if its end fails at first with %s", async (fault) => {
    using client = daemon.connect();
    client.inodes("name", { ipc: true, pid: true });
    await whileThreadFails(fault, async () => {
      await daemon.control({ command: "purge-namespaces", onlyIdle: false });
      expect((await daemon.status()).names).toBe(1);
    });
    await daemon.untilLogged("names cannot be ended for the moment: ");
    // If a part of the name is left, the request removes that part, and makes a new name.
    const after = client.inodes("name", { ipc: true, pid: true });
    await until(() => daemon.childPids().length === 1, "one init is left");
    expect(storedInodes()).toEqual(after);
    await expectAllEnd();
  });

  it("ends all other names if the end of a leased one fails halfway, and that one with the next purge", async () => {
    using client = daemon.connect();
    const leased = client.ask("leased", { ipc: true, pid: true, lease: true });
    for (const name of ["a", "b"]) client.inodes(name, { ipc: true });
    // The end of the first name fails.
    await whileThreadFails("umount2:error=ENOMEM:when=1", async () => {
      const ended = await daemon.control({ command: "purge-namespaces", onlyIdle: false });
      expect(ended).toEqual({ ended: 2, left: 1 });
    });
    leased[Symbol.dispose]();
    // The name that is left has lost its lease, and so it is idle.
    const rest = await daemon.control({ command: "purge-namespaces", onlyIdle: true });
    expect(rest).toEqual({ ended: 1, left: 0 });
    expect(readdirSync(storedNames())).toEqual([]);
  });

  /**
   * Kills the init of `name` after the events of a turn have been fetched, and requests the name in
   * the same turn.
   * @param faults of the thread in the meantime
   */
  async function requestAfterInit(faults: readonly string[], work: (client: TestClient) => void) {
    const [init] = daemon.childPids();
    await whileThreadFails(["accept4:delay_exit=3000000", ...faults], async () => {
      // If the previous turn of its loop accepted a connection, too, the daemon looks for a request
      // as soon as it has accepted the next one.
      using _first = daemon.connect();
      using second = daemon.connect();
      await sleep(4500);
      kill(init);
      await until(() => readProc(init ?? 0, "stat").includes(") Z "), "the init has ended");
      second.send(request("name", { pid: true }));
      work(second);
    });
    await daemon.untilLogged("the init of name ended");
    expect((await daemon.status()).initDeaths).toBe(1);
  }

  it("gives nobody the namespace of an init that ended before the request, even in the same turn", async () => {
    using before = daemon.connect();
    using answer = before.ask("name", { pid: true });
    await requestAfterInit([], (client) => {
      const raw = client.receive();
      if (raw.kind !== "handles") throw new Error(JSON.stringify(raw));
      expect(inodeOf(raw.answer.pid)).not.toBe(inodeOf(answer.pid));
      raw.answer[Symbol.dispose]();
    });
  });

  it("reports the end of an init even if no other can be started in its place", async () => {
    using before = daemon.connect();
    before.ask("name", { pid: true })[Symbol.dispose]();
    await requestAfterInit(["pidfd_open:error=ENOMEM"], (client) => {
      expect(client.receive()).toMatchObject({ kind: "error" });
    });
    expect((await daemon.status()).names).toBe(0);
    expect(readdirSync(storedNames())).toEqual([]);
  });

  it("goes on if a lease ends while read fails", async () => {
    using client = daemon.connect();
    const answer = client.ask("name", { ipc: true, lease: true });
    await whileThreadFails("read:error=ENOMEM:when=1", async () => {
      answer[Symbol.dispose]();
      await daemon.untilLogged("a lease cannot be checked at the moment: ");
    });
    await until(async () => (await daemon.status()).leasedNames === 0, "its end is noticed");
  });

  it("goes on if waiting strangers hang up while epoll_ctl fails", async () => {
    await hold("");
    await until(async () => (await daemon.status()).connections === STRANGERS, "they wait");
    await whileThreadFails("epoll_ctl:error=ENOMEM", async () => {
      await peer.endAll();
      await daemon.untilLogged("a connection failed: ");
    });
    await until(async () => (await daemon.status()).connections === 0, "they are gone");
  });

  it.each(["recvmsg", "shutdown"])(
    "goes on if connections of waiting strangers cannot be closed in a flood because %s fails",
    async (call) => {
      // With so many strangers, some are closed without a check if all hang up within a second.
      const count = 2 * MOST_LOOKED_AT;
      const hold = async () => {
        await peer.start(as({}), daemon.address, Buffer.from(""), ["--hold", String(count)]);
        await until(async () => (await daemon.status()).connections === count, "they wait");
      };
      await hold();
      await whileThreadFails(`${call}:error=ENOMEM`, async () => {
        for (;;) {
          await peer.endAll();
          await until(async () => (await daemon.status()).connections === 0, "they are gone");
          if (daemon.log.includes("a connection failed: ")) break;
          // The machine was too busy: the strangers did not hang up within a second.
          await hold();
        }
      });
      expect(daemon.log).not.toMatch(/crashed|(?:\n| \|) *at /);
    },
  );

  it.each(["epoll_ctl", "shutdown"])(
    "ends in time if strangers wait while %s fails",
    async (call) => {
      await hold("");
      await until(async () => (await daemon.status()).connections === STRANGERS, "they wait");
      await whileThreadFails(`${call}:error=ENOMEM`, async () => {
        expect(await daemon.end("SIGTERM")).toBe(0);
      });
      expect(daemon.log).not.toContain("too long");
    },
  );

  it("accepts again after both accept4 and epoll_ctl have failed", async () => {
    // The first call of epoll_ctl(2) ends the watch of the listening socket; the second one, which
    // fails, was to begin the watch again.
    const faults = ["accept4:error=ENOMEM:when=1", "epoll_ctl:error=ENOMEM:when=2"];
    await whileThreadFails(faults, async () => {
      using client = daemon.connect();
      client.send(ALL);
      await daemon.untilLogged("cannot accept connections for the moment: epoll_ctl");
    });
    using client = daemon.connect();
    client.inodes("name", { ipc: true });
  });

  it.each(["ENOMEM", "ENOBUFS"])(
    "keeps the length of the queue if listen fails with %s",
    async (code) => {
      await whileThreadFails(`listen:error=${code}`, async () => {
        await peer.start(as({}), daemon.address, ALL, ["--flood"]);
        await until(() => daemon.log.includes("cannot change the length"), "it has failed");
        expect(peer.run([], daemon.address, ALL)[0]).toBe("handles");
        await peer.endAll();
      });
      expect(peer.run([], daemon.address, ALL)[0]).toBe("handles");
      await daemon.untilLogged(`cannot change the length of the queue of connections: listen`);
      expect(daemon.log).not.toMatch(/crashed|(?:\n| \|) *at /);
    },
  );

  it("closes a descriptor later if close(2) takes long and no process can be created to call it", async () => {
    const sink = createServer().listen(0, "127.0.0.1");
    await once(sink, "listening");
    const port = String((sink.address() as AddressInfo).port);
    const ask = () => {
      using client = daemon.connect();
      client.inodes("name", { ipc: true });
    };
    ask();
    const before = await daemon.restingDescriptorCount();
    await whileThreadFails("clone:error=EAGAIN", async () => {
      await peer.start(as({}), daemon.address, ALL, ["--linger", port]);
      // Long enough for more than two attempts.
      await sleep(1000);
      expect(daemon.descriptorCount()).toBeGreaterThan(before);
      ask();
    });
    await until(() => daemon.descriptorCount() <= before, "it is closed");
    expect(daemon.log).not.toMatch(/crashed|(?:\n| \|) *at /);
    await peer.endAll();
    sink.close();
  });

  it("ends the process with a stack trace on an unexpected error", async () => {
    await whileThreadFails("epoll_wait,epoll_pwait:error=EPERM:when=1", async () => {
      using client = daemon.connect();
      trySend(client);
      await until(() => daemon.child.exitCode !== null, "it has ended");
    });
    expect(daemon.child.exitCode).toBe(70);
    await until(() => daemon.log.includes("crashed"), "its log has come");
    expect(daemon.log).toMatch(/crashed: SyscallError: epoll_wait.*EPERM.* \| at /);
  });

  // To start an init, the thread calls setns(2) three times: to leave the store's mount namespace,
  // to return from the new PID namespace, and to return to the store's mount namespace.
  it.each([
    [2, "PID namespace"],
    [3, "mount namespace"],
  ])(
    "logs one line and ends if setns call %s, the return to its %s, fails",
    async (call, place) => {
      using client = daemon.connect();
      await whileThreadFails(`setns:error=ENOMEM:when=${call}`, async () => {
        client.send(request("name", { pid: true }));
        await until(() => daemon.child.exitCode !== null, "it has ended");
      });
      expect(daemon.child.exitCode).toBe(71);
      const lines = daemon.log.split("\n").filter((line) => line.includes("wrong"));
      expect(lines).toEqual([expect.stringContaining(`the thread is in the wrong ${place}: `)]);
      expect(daemon.log).not.toMatch(/(?:\n| \|) *at /);
    },
  );

  it.each(["a full disk", "a pipe that nobody reads"])(
    "ends if it cannot return to its IPC namespace, even if its log goes to %s",
    async (where) => {
      const pipe = new Pipe();
      onTestFinished(() => pipe.close());
      pipe.fill();
      await daemon.stop();
      const path = where === "a full disk" ? "/dev/full" : pipe.path;
      daemon = new TestDaemon({ wrapper: redirectTo(path) });
      onTestFinished(() => rmSync(daemon.directory, { recursive: true }));
      await until(
        async () => (await daemon.status().catch(() => undefined)) !== undefined,
        "it runs",
      );
      using client = daemon.connect();
      await whileThreadFails("setns:error=ENOMEM:when=1", async () => {
        client.send(request("name", { ipc: true }));
        await until(() => daemon.child.exitCode !== null, "it has ended");
      });
      expect(daemon.child.exitCode).toBe(71);
    },
  );
});
