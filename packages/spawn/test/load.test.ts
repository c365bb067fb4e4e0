import { setTimeout as sleep } from "node:timers/promises";
import { MSG_DONTWAIT, send } from "@cm4all/linux";
import { missing } from "@cm4all/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { request, type TestClient } from "./support/client.ts";
import { kill, TestDaemon, until } from "./support/daemon.ts";

const cannotRun = missing("root", "catatonit") !== undefined;
const IPC = request("load", { ipc: true });
const MEGABYTE = 2 ** 20;

/** Returns the kinds of all answers that a client receives until its connection is closed. */
function receiveAll(client: TestClient): string[] {
  const kinds: string[] = [];
  for (;;) {
    const answer = client.receive();
    if (answer.kind === "handles") answer.answer[Symbol.dispose]();
    kinds.push(answer.kind);
    if (answer.kind === "closed") return kinds;
  }
}

describe.skipIf(cannotRun)("under load, the daemon", () => {
  let daemon: TestDaemon;
  beforeEach(async () => {
    daemon = await TestDaemon.start();
  });
  afterEach(() => daemon.stop());

  it("disconnects clients that never read, and keeps no other client waiting", async () => {
    using reader = daemon.connect();
    reader.inodes("load", { ipc: true });
    const lazy = Array.from({ length: 20 }, () => daemon.connect());
    for (const client of lazy) client.inodes("load", { ipc: true });
    const before = await daemon.restingDescriptorCount();
    const bytes = daemon.privateBytes();
    let longestMs = 0;
    let open = lazy;
    // Each client sends until it is disconnected.
    for (let i = 0; open.length > 0; i++) {
      open = open.filter((client) => {
        try {
          send(client.socket.number, IPC, MSG_DONTWAIT);
          return true;
        } catch {
          return false;
        }
      });
      const startMs = performance.now();
      reader.inodes("load", { ipc: true });
      longestMs = Math.max(longestMs, performance.now() - startMs);
      if (i > 10_000) throw new Error(`${open.length} clients were never closed`);
    }
    console.log(`longest answer while 20 clients do not read: ${longestMs.toFixed(1)} ms`);
    await until(async () => (await daemon.status()).connections === 1, "they are closed");
    await until(() => daemon.descriptorCount() === before - lazy.length, "nothing is left");
    expect(daemon.privateBytes() - bytes).toBeLessThan(16 * MEGABYTE);
    for (const client of lazy) client[Symbol.dispose]();
  });

  it("serves 1,000 simultaneous connections", async () => {
    using first = daemon.connect();
    const inode = first.inodes("load", { ipc: true }).ipc;
    const before = await daemon.restingDescriptorCount();
    const clients = Array.from({ length: 1000 }, () => daemon.connect());
    for (const client of clients) client.send(IPC);
    for (const client of clients) {
      const answer = client.receive();
      if (answer.kind !== "handles") throw new Error(answer.kind);
      answer.answer[Symbol.dispose]();
    }
    for (let round = 0; round < 3; round++)
      for (const client of clients) expect(client.inodes("load", { ipc: true }).ipc).toBe(inode);
    expect((await daemon.status()).connections).toBe(1001);
    for (const client of clients) client[Symbol.dispose]();
    await until(() => daemon.descriptorCount() === before, "nothing is left");
  });

  it("does not grow while connections, names and namespaces come and go", async () => {
    const churn = async (rounds: number) => {
      for (let i = 0; i < rounds; i++) {
        using client = daemon.connect();
        const wanted = { ipc: true, pid: i % 10 === 0, user: {}, lease: true };
        client.inodes(`churn ${i}`, wanted);
        if (i % 100 === 99) await daemon.control({ command: "purge-namespaces", onlyIdle: false });
      }
      await until(() => daemon.childPids().length === 0, "all inits are reaped");
      await until(async () => (await daemon.status()).connections === 0, "all are gone");
    };
    await churn(500);
    const before = { fds: await daemon.restingDescriptorCount(), bytes: daemon.privateBytes() };
    await churn(2000);
    const grown = daemon.privateBytes() - before.bytes;
    console.log(`2,000 names later: ${(grown / MEGABYTE).toFixed(1)} MiB more`);
    await until(() => daemon.descriptorCount() === before.fds, "nothing is left");
    expect(grown).toBeLessThan(16 * MEGABYTE);
  });

  it("carries out concurrent purges, while inits die and names are used", async () => {
    using client = daemon.connect();
    for (let round = 0; round < 5; round++) {
      for (let i = 0; i < 30; i++) client.inodes(`purged ${i}`, { pid: true, ipc: i % 2 === 0 });
      const purges = Array.from({ length: 5 }, (_, i) =>
        daemon.control({ command: "purge-namespaces", onlyIdle: i > 0 }),
      );
      for (const pid of daemon.childPids()) kill(pid);
      for (let i = 0; i < 30; i += 3) client.inodes(`purged ${i}`, { pid: true });
      const results = (await Promise.all(purges)) as { ended: number }[];
      // Each name that was made was ended by one purge or by its init's end, or is left.
      const ended = results.reduce((sum, result) => sum + result.ended, 0);
      expect(ended).toBeLessThanOrEqual(30 + 10);
    }
    await daemon.control({ command: "purge-namespaces", onlyIdle: false });
    await until(() => daemon.childPids().length === 0, "no init is left");
    expect((await daemon.status()).names).toBe(0);
    // No purge has tried to end a name that another purge had ended.
    expect(daemon.log).not.toContain("names cannot be ended");
  });

  it("answers all requests during a reload", async () => {
    const clients = Array.from({ length: 50 }, () => daemon.connect());
    for (let round = 0; round < 20; round++) {
      for (const client of clients) client.send(IPC);
      daemon.child.kill("SIGHUP");
      for (const client of clients) {
        const answer = client.receive();
        if (answer.kind !== "handles") throw new Error(answer.kind);
        answer.answer[Symbol.dispose]();
      }
    }
    await daemon.untilLogged("reloaded the configuration");
    for (const client of clients) client[Symbol.dispose]();
  });

  it("answers all requests that clients can still send after SIGTERM", async () => {
    const clients = Array.from({ length: 100 }, () => daemon.connect());
    for (const client of clients) client.inodes("load", { ipc: true });
    let sent = 0;
    const startMs = performance.now();
    const ended = daemon.end("SIGTERM");
    // The clients send requests as long as they can, without waiting for answers. Every second
    // client also receives.
    const counts = clients.map(() => 0);
    let isOpen = true;
    while (isOpen) {
      isOpen = false;
      for (const [i, client] of clients.entries()) {
        try {
          if (send(client.socket.number, IPC, MSG_DONTWAIT) === undefined) continue;
          counts[i] = (counts[i] ?? 0) + 1;
          sent++;
          isOpen = true;
        } catch {
          // The connection is being closed.
        }
        const answer = i % 2 === 0 ? client.tryReceive(MSG_DONTWAIT) : undefined;
        if (answer?.kind === "handles") {
          answer.answer[Symbol.dispose]();
          counts[i] = (counts[i] ?? 0) - 1;
        }
      }
      await sleep(1);
    }
    expect(await ended).toBe(0);
    expect(daemon.log).not.toContain("takes too long");
    console.log(`${sent} requests during a stop of ${Math.round(performance.now() - startMs)} ms`);
    for (const [i, client] of clients.entries()) {
      const kinds = receiveAll(client);
      expect(kinds).toEqual([...new Array<string>(counts[i] ?? 0).fill("handles"), "closed"]);
      client[Symbol.dispose]();
    }
  });
});
