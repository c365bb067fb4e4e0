/**
 * Tests the daemon when the kernel's resources are exhausted: descriptors (EMFILE) and mounts
 * (ENOSPC).
 */
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { isErrno, MNT_DETACH, MS_BIND, MS_REC, MSG_DONTWAIT, mount, umount } from "@cm4all/linux";
import { missing } from "@cm4all/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { request } from "./support/client.ts";
import { storeThread, TestDaemon, until } from "./support/daemon.ts";
import { currentLimit, limitDescriptors, setLimit } from "./support/descriptors.ts";
import { as, Peer } from "./support/peer.ts";
import { insideStore } from "./support/store.ts";

const ALL = { ipc: true, pid: true, user: { uidMap: "0 1000 1" }, lease: true };

/** Returns the directories of the names in the store. */
function storedNames(daemon: TestDaemon): string[] {
  return readdirSync(`${storeThread(daemon)}/root/names`);
}

/** Makes as many mounts as a mount namespace may hold (fs.mount-max), all below `/fill`. */
function fillMounts(): void {
  mkdirSync("/fill");
  mount({ source: "/fill", target: "/fill", flags: MS_BIND });
  const bind = (source: string, target: string) => {
    mkdirSync(target);
    try {
      mount({ source, target, flags: MS_BIND | MS_REC });
      return true;
    } catch (error) {
      if (isErrno(error, "ENOSPC")) return false;
      throw error;
    }
  };
  // Each bind mount copies all mounts before it, so that their number doubles; then smaller copies
  // fill the rest.
  let i = 0;
  while (bind("/fill", `/fill/${i}`)) i++;
  for (let j = i - 1; j >= 0; j--) bind(`/fill/${j}`, `/fill/rest-${j}`);
}

function emptyMounts(): void {
  umount("/fill", MNT_DETACH);
  rmSync("/fill", { recursive: true });
}

describe.skipIf(missing("root", "catatonit") !== undefined)("without descriptors", () => {
  let daemon: TestDaemon;
  let limit: number;
  beforeEach(async () => {
    daemon = await TestDaemon.start({ config: "[namespaces]\nexpire_seconds = 1\n" });
    limit = currentLimit(daemon);
  });
  afterEach(async () => {
    setLimit(daemon, limit);
    await daemon.stop();
  });

  it("the client gets an ERROR, and nothing half-made is left", async () => {
    using client = daemon.connect();
    client.inodes("before", { ipc: true });
    await until(async () => (await daemon.status()).names === 0, "it has expired");
    const before = await daemon.restingDescriptorCount();
    const refused = new Set<string>();
    for (let free = 0; ; free++) {
      limitDescriptors(daemon, free);
      const answer = client.exchange(request(`free ${free}`, ALL));
      setLimit(daemon, limit);
      if (answer.kind === "handles") {
        answer.answer[Symbol.dispose]();
        break;
      }
      if (answer.kind === "closed") throw new Error("the connection was closed");
      expect(answer.message).toMatch(/EMFILE/);
      refused.add(answer.message.replaceAll(/\d+/g, "N"));
      await until(() => daemon.childPids().length === 0, "no init is left");
      // There may be fewer: when `before` was counted, the connection of a status request may still
      // have been open.
      await until(() => daemon.descriptorCount() <= before, "no descriptor is left");
      expect((await daemon.status()).names).toBe(0);
      expect(storedNames(daemon)).toEqual([]);
    }
    console.log(`refused: ${[...refused].join("; ")}`);
    expect(refused.size).toBeGreaterThan(3);
  });

  it("clients wait until they can be accepted", async () => {
    const turns = async () => (await daemon.status()).turnSeconds.counts.reduce((a, b) => a + b, 0);
    const before = await turns();
    // After this call, the connection of the status request is closed.
    await daemon.restingDescriptorCount();
    limitDescriptors(daemon, 0);
    using client = daemon.connect();
    client.send(request("waits", { ipc: true }));
    await sleep(500);
    expect(client.tryReceive(MSG_DONTWAIT)).toBeUndefined();
    setLimit(daemon, limit);
    expect(client.receive().kind).toBe("handles");
    // The daemon tries to accept in about five turns of its loop. Without pauses, it would try in
    // thousands.
    expect((await turns()) - before).toBeLessThan(50);
    expect(daemon.log.match(/cannot accept connections/g)).toHaveLength(1);
  });

  it("connections to the control socket do not end the daemon", async () => {
    setLimit(daemon, 3);
    const sockets = Array.from({ length: 20 }, () => connect(daemon.controlSocket));
    // libuv accepts some with its spare descriptor, and closes them again.
    for (const socket of sockets) socket.on("error", () => {});
    await sleep(500);
    setLimit(daemon, limit);
    for (const socket of sockets) socket.destroy();
    expect((await daemon.status()).names).toBe(0);
  });

  it("names expire once there are descriptors again", async () => {
    using client = daemon.connect();
    for (let i = 0; i < 10; i++) client.inodes(`${i}`, { pid: true, ipc: true });
    for (let free = 0; free < 3; free++) {
      limitDescriptors(daemon, free);
      await sleep(1000);
    }
    setLimit(daemon, limit);
    await until(async () => (await daemon.status()).names === 0, "all have expired");
    await until(() => daemon.childPids().length === 0, "no init is left");
  });

  it("the death of an init is noticed", async () => {
    using client = daemon.connect();
    client.inodes("dies", { pid: true });
    limitDescriptors(daemon, 0);
    for (const pid of daemon.childPids()) process.kill(pid, "SIGKILL");
    await until(() => daemon.childPids().length === 0, "it is reaped");
    setLimit(daemon, limit);
    client.inodes("dies", { pid: true });
  });

  describe.skipIf(missing("gcc") !== undefined)("clients of another uid", () => {
    let peer: Peer;
    beforeAll(() => {
      peer = new Peer();
    });
    afterAll(() => peer[Symbol.dispose]());

    it.each(["CAP_SYS_ADMIN", "no capability"])("with %s do not end the daemon", async (what) => {
      const who = as({ capabilities: what === "no capability" ? [] : ["sys_admin"] });
      for (let free = 1; free < 5; free++) {
        limitDescriptors(daemon, free);
        const [answer] = peer.run(who, daemon.address, request("x", { ipc: true }));
        expect(answer).toMatch(/handles|EMFILE|permission denied/);
        setLimit(daemon, limit);
        await until(async () => (await daemon.status()).connections === 0, "all are gone");
      }
    });
  });
});

describe.skipIf(missing("root", "catatonit") !== undefined)("without room for mounts", () => {
  it("the client gets an ERROR, and nothing half-made is left", async () => {
    const daemon = await TestDaemon.start();
    using client = daemon.connect();
    const first = client.inodes("first", { ipc: true });
    const descriptors = await daemon.restingDescriptorCount();
    insideStore(daemon, fillMounts);
    for (const wanted of [{ ipc: true }, { pid: true }, { user: {} }]) {
      const answer = client.exchange(request("second", wanted));
      expect(answer).toMatchObject({
        kind: "error",
        message: expect.stringMatching(/^mount\(.*ENOSPC/),
      });
    }
    // A name that lacks some namespaces cannot get them, and keeps those that it has.
    expect(client.exchange(request("first", ALL)).kind).toBe("error");
    expect(client.inodes("first", { ipc: true })).toEqual(first);
    await until(() => daemon.childPids().length === 0, "no init is left");
    expect(await daemon.restingDescriptorCount()).toBe(descriptors);
    expect(storedNames(daemon)).toHaveLength(1);
    expect((await daemon.status()).names).toBe(1);
    insideStore(daemon, emptyMounts);
    client.ask("second", ALL)[Symbol.dispose]();
    await daemon.stop();
  });
});
