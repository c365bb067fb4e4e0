import { readSync } from "node:fs";
import { crc32 } from "node:zlib";
import { isErrno, MSG_DONTWAIT, O_NONBLOCK, pipe, send } from "@cm4all/linux";
import { encodeDatagram, MAGIC, MAX_DATAGRAM_SIZE, type Packet } from "@cm4all/spawn-protocol";
import { missing } from "@cm4all/testing";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { inodeOf, request, TestClient, type Wanted } from "./support/client.ts";
import { TestDaemon, until } from "./support/daemon.ts";
import { FakeManager } from "./support/manager.ts";
import { as, Peer } from "./support/peer.ts";
import { seededRandom } from "./support/random.ts";

const cannotRun = missing("root", "catatonit") !== undefined;

const NOP = 0;
const NAME = 1;
const IPC_NAMESPACE = 2;
const PID_NAMESPACE = 3;
const USER_NAMESPACE = 4;
const LEASE_PIPE = 5;

const packet = (command: number, payload: string | Uint8Array = ""): Packet => ({
  command,
  payload: Buffer.from(payload),
});
const name = packet(NAME, "name");
const ipc = packet(IPC_NAMESPACE);
const GOOD = encodeDatagram([name, ipc]);

/** Returns a copy of `bytes` with one byte changed. */
function flipped(bytes: Uint8Array, offset: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[offset] = (copy[offset] ?? 0) ^ 1;
  return copy;
}

/** Returns a valid request of exactly `size` bytes. */
function sized(size: number): Uint8Array {
  return encodeDatagram([name, ipc, packet(NOP, new Uint8Array(size - GOOD.length - 4))]);
}

/** Returns `packets`, which may be any bytes, after a header that matches them. */
function framed(packets: Uint8Array): Uint8Array {
  const header = Buffer.alloc(8);
  header.writeUInt32LE(MAGIC, 0);
  header.writeUInt32LE(crc32(packets), 4);
  return Buffer.concat([header, packets]);
}

function expectHandles(client: TestClient): void {
  const answer = client.receive();
  if (answer.kind !== "handles") throw new Error(`handles were expected, not ${answer.kind}`);
  answer.answer[Symbol.dispose]();
}

function expectError(client: TestClient, text: string | RegExp): void {
  const answer = client.receive();
  if (answer.kind !== "error") throw new Error(`an ERROR was expected, not ${answer.kind}`);
  expect(answer.message).toMatch(text);
  expect(answer.message).toMatch(/^[\x20-\x7e]{1,1000}$/);
}

/** Expects the end of the connection, but not ECONNRESET, which would hide earlier answers. */
function expectEnd(client: TestClient): void {
  expect(readSync(client.socket.number, Buffer.alloc(1))).toBe(0);
}

/** Expects that the connection still works, and that no other answers come first. */
function expectAlive(client: TestClient): void {
  const answer = client.exchange(request("alive", { ipc: true, lease: true }));
  if (answer.kind !== "handles") throw new Error(`not alive: ${answer.kind}`);
  expect(answer.answer.lease).toBeDefined();
  answer.answer[Symbol.dispose]();
}

describe.skipIf(cannotRun)("bad input", () => {
  let daemon: TestDaemon;
  beforeAll(async () => {
    daemon = await TestDaemon.start();
  });
  afterAll(() => daemon.stop());

  const truncated = "is truncated";
  it.each<[string, Uint8Array, string | RegExp]>([
    ["an empty datagram", new Uint8Array(), "datagram of 0 bytes is too short"],
    ["half a header", GOOD.subarray(0, 7), "datagram of 7 bytes is too short"],
    ["a wrong magic number", flipped(GOOD, 0), "wrong magic number"],
    ["a wrong checksum", flipped(GOOD, 4), "wrong checksum"],
    ["a changed last byte", flipped(GOOD, GOOD.length - 1), "wrong checksum"],
    ["changed padding", flipped(encodeDatagram([packet(NAME, "x"), ipc]), 14), "wrong checksum"],
    ["half a packet header", framed(Buffer.from([0, 0])), truncated],
    ["a packet without its end", framed(Buffer.from([5, 0, 1, 0, 0x61, 0, 0, 0])), truncated],
    ["a packet without its padding", framed(Buffer.from([1, 0, 1, 0, 0x61])), truncated],
    ["a mistake before broken framing", framed(Buffer.from([0, 0, 1, 0, 9, 9])), truncated],
    ["one byte too many", Buffer.alloc(MAX_DATAGRAM_SIZE + 1), "larger than 32768 bytes"],
    ["one packet too many", sized(MAX_DATAGRAM_SIZE + 4), "larger than 32768 bytes"],
    ["150,000 bytes", Buffer.alloc(150_000), "larger than 32768 bytes"],
  ])("closes the connection after %s", async (_, bytes, text) => {
    const malformed = (await daemon.status()).requests.malformed;
    using client = daemon.connect();
    expectAlive(client);
    client.send(bytes);
    expectError(client, text);
    expectEnd(client);
    expect((await daemon.status()).requests.malformed).toBe(malformed + 1);
  });

  const twice = "occurs twice";
  it.each<[string, Packet[], string | RegExp]>([
    ["two names", [name, name, ipc], `NAME ${twice}`],
    ["IPC twice", [name, ipc, ipc], `IPC_NAMESPACE ${twice}`],
    ["PID twice", [name, packet(PID_NAMESPACE), packet(PID_NAMESPACE)], twice],
    ["USER twice", [name, packet(USER_NAMESPACE), packet(USER_NAMESPACE, "0 0 1")], twice],
    ["LEASE twice", [name, packet(LEASE_PIPE), packet(LEASE_PIPE)], twice],
    ["no name", [ipc], "NAME is missing"],
    ["no name for a lease", [packet(LEASE_PIPE)], "NAME is missing"],
    ["an empty name", [packet(NAME), ipc], "NAME is empty"],
    ["a control character", [packet(NAME, "a\nb"), ipc], "not allowed: 0x0a"],
    ["a NUL byte", [packet(NAME, "a\0"), ipc], "not allowed: 0x00"],
    ["a byte over 0x7f", [packet(NAME, "\u{e4}"), ipc], "not allowed: 0xc3"],
    ["a name of 4081 bytes", [packet(NAME, "x".repeat(4081)), ipc], "longer than 4080 bytes"],
    ["IPC with a payload", [name, packet(IPC_NAMESPACE, "x")], "takes no payload"],
    ["PID with a payload", [name, packet(PID_NAMESPACE, "x")], "takes no payload"],
    ["LEASE with a payload", [name, packet(LEASE_PIPE, "\0")], "takes no payload"],
  ])("keeps the connection after %s", async (_, packets, text) => {
    const { names } = await daemon.status();
    using client = daemon.connect();
    client.send(encodeDatagram(packets));
    expectError(client, text);
    expect((await daemon.status()).names).toBe(names);
    expectAlive(client);
  });

  it("accepts names of all allowed bytes, and datagrams of the greatest allowed size", () => {
    using client = daemon.connect();
    const all = Buffer.from(Array.from({ length: 0x60 }, (_, i) => 0x20 + i));
    for (const bytes of [all, Buffer.from("x".repeat(4080)), Buffer.from(" ")]) {
      client.send(encodeDatagram([packet(NAME, bytes), ipc]));
      expectHandles(client);
    }
    client.send(sized(MAX_DATAGRAM_SIZE));
    expectHandles(client);
  });

  it("gives no answer to an empty request, and creates no name", async () => {
    const { names } = await daemon.status();
    using client = daemon.connect();
    for (const packets of [[], [packet(NOP, "anything")], [packet(NAME, "unused")], [packet(99)]])
      client.send(encodeDatagram(packets));
    expectAlive(client);
    expect((await daemon.status()).names).toBeLessThanOrEqual(names + 1);
    expect(client.tryReceive(MSG_DONTWAIT)).toBeUndefined();
  });

  it("ignores unknown commands, and logs each once", async () => {
    using client = daemon.connect();
    for (let i = 0; i < 3; i++) {
      client.send(encodeDatagram([packet(77, "new"), name, packet(0xffff), ipc, packet(77)]));
      expectHandles(client);
    }
    await daemon.untilLogged("ignored unknown command 65535");
    expect(daemon.log.match(/unknown command 77/g)).toHaveLength(1);
    expect(daemon.log.match(/unknown command 65535/g)).toHaveLength(1);
  });

  it("answers queued requests in order", () => {
    using client = daemon.connect();
    client.send(GOOD);
    client.send(encodeDatagram([ipc]));
    client.send(encodeDatagram([packet(NOP)]));
    client.send(encodeDatagram([name, packet(LEASE_PIPE)]));
    client.send(encodeDatagram([name, packet(USER_NAMESPACE, "rubbish\x07\xff")]));
    client.send(flipped(GOOD, 0));
    client.send(GOOD);
    expectHandles(client);
    expectError(client, "NAME is missing");
    expectHandles(client);
    expectError(client, /^write\(file="uid_map", map=.*\): EINVAL/);
    expectError(client, "wrong magic number");
    expectEnd(client);
  });

  it("truncates the text of an error that is too long", () => {
    using client = daemon.connect();
    const map = Buffer.alloc(30_000, "\u{1b}[31m\0\xff");
    client.send(encodeDatagram([name, packet(USER_NAMESPACE, map)]));
    expectError(client, "EINVAL");
    expectAlive(client);
  });

  it("delivers the ERROR to a client that has already sent more", async () => {
    for (const more of [GOOD, new Uint8Array(), Buffer.alloc(10_000), GOOD.subarray(0, 1)]) {
      using client = daemon.connect();
      expectAlive(client);
      await daemon.whilePaused(() => {
        client.send(flipped(GOOD, 4));
        // Send more until the socket is full.
        while (send(client.socket.number, more, MSG_DONTWAIT) !== undefined);
      });
      expectError(client, "wrong checksum");
      expectEnd(client);
    }
  });

  it("never receives descriptors, whatever the length of the datagram", async () => {
    const lengths = [0, 1, 7, 8, 9, 1000, MAX_DATAGRAM_SIZE, MAX_DATAGRAM_SIZE + 1, 100_000];
    using client = daemon.connect();
    expect(client.inodes("name", { ipc: true }).ipc).toBeGreaterThan(0);
    await until(async () => (await daemon.status()).leasedNames === 0, "no lease is left");
    const before = await daemon.restingDescriptorCount();
    const [reader, writer] = pipe(O_NONBLOCK);
    const fds = new Array<number>(250).fill(writer.number);
    for (let round = 0; round < 50; round++) {
      for (const length of lengths) {
        using sender = daemon.connect();
        sender.send(Buffer.alloc(length), fds);
        expectError(sender, /too short|wrong magic|larger/);
      }
      client.send(GOOD, fds);
      expectHandles(client);
      client.send(encodeDatagram([ipc]), fds);
      expectError(client, "NAME is missing");
      client.send(encodeDatagram([name]), fds);
    }
    expectAlive(client);
    writer.close();
    // No other process holds the write end.
    expect(readSync(reader.number, Buffer.alloc(1))).toBe(0);
    reader.close();
    await until(() => daemon.descriptorCount() <= before, "no descriptor is left");
  });
});

function trySend(client: TestClient, bytes: Uint8Array): void {
  try {
    client.send(bytes);
  } catch (error) {
    if (!isErrno(error, "EPIPE", "ECONNRESET")) throw error;
  }
}

describe.skipIf(cannotRun)("random datagrams", () => {
  const MEGABYTE = 2 ** 20;
  /** The number of datagrams; with `TORTURE=all`, they take some minutes. */
  const COUNT = process.env["TORTURE"] === "all" ? 1_000_000 : 20_000;

  const random = seededRandom(20_000);
  const below = (limit: number) => Math.floor(random() * limit);
  const randomBytes = (length: number) => Buffer.from(Array.from({ length }, () => below(256)));

  /** Returns rubbish, rubbish in a valid frame, a request with a mistake, or a valid request. */
  function randomDatagram(): Uint8Array {
    switch (below(4)) {
      case 0:
        return randomBytes(below(10) === 0 ? below(40_000) : below(100));
      case 1:
        return framed(randomBytes(below(64)));
      case 2: {
        const bytes = Buffer.from(randomRequest());
        bytes[below(bytes.length)] = below(256);
        return below(2) === 0 ? bytes : framed(bytes.subarray(8, 8 + below(bytes.length)));
      }
      default:
        return randomRequest();
    }
  }

  function randomRequest(): Uint8Array {
    const packets = [packet(NAME, `random-${below(20)}`)];
    for (let i = below(5); i >= 0; i--) {
      const command = below(7);
      const payload = command === USER_NAMESPACE ? `0 ${below(8)} 1` : "";
      packets.push(packet(command, below(20) === 0 ? randomBytes(below(300)) : payload));
    }
    return encodeDatagram(packets);
  }

  it("neither crash the daemon nor fill its memory", { timeout: 60_000 + COUNT }, async () => {
    const daemon = await TestDaemon.start({ config: "[namespaces]\nmax_names = 50\n" });
    let client = daemon.connect();
    const marker = request("marker", { ipc: true });
    const inode = client.inodes("marker", { ipc: true }).ipc;
    const kinds = { error: 0, handles: 0, closed: 0, none: 0 };
    /**
     * Receives an answer, and returns its kind; `none` if it is the answer to `marker`, which
     * follows each datagram: then the datagram itself got no answer.
     */
    const receiveBefore = (): keyof typeof kinds => {
      const answer = client.receive();
      if (answer.kind !== "handles") return answer.kind;
      using handles = answer.answer;
      return handles.ipc !== undefined && inodeOf(handles.ipc) === inode ? "none" : "handles";
    };
    const sendMany = (count: number) => {
      for (let i = 0; i < count; i++) {
        client.send(randomDatagram());
        // If the connection is already closed, `receiveBefore` finds out.
        trySend(client, marker);
        const kind = receiveBefore();
        kinds[kind]++;
        if (kind === "none" || receiveBefore() === "none") continue;
        kinds.closed++;
        client[Symbol.dispose]();
        client = daemon.connect();
      }
    };
    const settle = async () => {
      client[Symbol.dispose]();
      await until(async () => (await daemon.status()).connections === 0, "all is read");
      client = daemon.connect();
      client.inodes("marker", { ipc: true });
    };
    // The first half is not measured: V8 takes up to 50 MiB meanwhile, and then no more, however
    // many datagrams follow.
    sendMany(COUNT / 2);
    await settle();
    const status = await daemon.status();
    // Each name keeps the FIFO of its leases open. These FIFOs are counted separately.
    const countFds = async () => (await daemon.restingDescriptorCount()) - daemon.fifoCount();
    const before = { fds: await countFds(), bytes: daemon.privateBytes() };
    sendMany(COUNT / 2);
    await settle();
    const after = await daemon.status();
    const wantedFds = (of: typeof status) => of.openDescriptors + of.kept.pid;
    expect(after.leasedNames).toBe(0);
    expect((await countFds()) - before.fds).toBe(wantedFds(after) - wantedFds(status));
    expect(daemon.fifoCount()).toBeLessThanOrEqual(after.names);
    const grown = daemon.privateBytes() - before.bytes;
    console.log(
      `${COUNT} random datagrams: ${JSON.stringify(kinds)}, ${grown / MEGABYTE} MiB more`,
    );
    expect(grown).toBeLessThan(16 * MEGABYTE);
    expect(kinds.handles).toBeGreaterThan(1000);
    expect(kinds.closed).toBeGreaterThan(1000);
    expect(kinds.none).toBeGreaterThan(100);
    client[Symbol.dispose]();
    await daemon.stop();
  });
});

describe.skipIf(missing("root", "catatonit", "gcc") !== undefined)("quotas", () => {
  let daemon: TestDaemon;
  afterEach(() => daemon.stop());
  const start = async (config: string) => {
    daemon = await TestDaemon.start({ config: `[namespaces]\n${config}\n` });
  };

  it("limit names, until some have expired", async () => {
    await start("max_names = 2\nexpire_seconds = 0.5");
    using client = daemon.connect();
    const wanted: Wanted = { ipc: true, pid: true };
    const first = client.inodes("one", wanted);
    client.inodes("two", { user: {} });
    client.send(request("three", wanted));
    expectError(client, "quota reached: 2 names");
    expect(daemon.childPids().length).toBe(1);
    expect(client.inodes("one", wanted)).toEqual(first);
    expect((await daemon.status()).requests.failed).toBe(1);
    await until(async () => (await daemon.status()).names === 0, "they have expired");
    client.inodes("three", wanted);
  });

  it("limit the names of one uid, even across a restart", async () => {
    const config = "[namespaces]\nmax_names = 4\nmax_names_per_uid = 2\nallow_uids = [1001]\n";
    const manager = new FakeManager();
    using peer = new Peer();
    const askAs = (uid: number, name: string) =>
      peer.run(as({ uid }), manager.address, request(name, { ipc: true }))[0];
    const refusal = "quota reached: 2 names of one uid";
    daemon = await manager.start({ config });
    expect([askAs(0, "a"), askAs(0, "b"), askAs(0, "c")]).toEqual(["handles", "handles", refusal]);
    // The quota applies neither to an existing name, whoever has made it, nor to another uid.
    expect([askAs(1001, "a"), askAs(1001, "c"), askAs(0, "c")]).toEqual(Array(3).fill("handles"));
    await daemon.end("SIGKILL");
    daemon = await manager.start({ config });
    expect(await daemon.status()).toMatchObject({ namesOfOneUid: 2, namesPerUidLimit: 2 });
    expect([askAs(0, "d"), askAs(1001, "d"), askAs(1001, "e")]).toEqual([
      refusal,
      "handles",
      "quota reached: 4 names",
    ]);
    expect(await daemon.control({ command: "purge-namespaces", onlyIdle: false })).toEqual({
      ended: 4,
      left: 0,
    });
    expect([askAs(0, "d"), askAs(0, "e")]).toEqual(["handles", "handles"]);
    await daemon.stop();
    await manager.close();
  });

  it("limit the user namespaces of a name", async () => {
    await start("max_user_namespaces_per_name = 2");
    using client = daemon.connect();
    const wanted = (id: number): Wanted => ({ ipc: true, user: { uidMap: `0 ${id} 1` } });
    client.inodes("one", { user: { uidMap: "0 1 1" } });
    const second = client.inodes("one", wanted(2));
    client.send(request("one", wanted(3)));
    expectError(client, "quota reached: 2 user namespaces of one name");
    expect(client.inodes("one", wanted(2))).toEqual(second);
    client.inodes("two", wanted(3));
  });

  it("let a name have user namespaces for 20 customers by default", async () => {
    await start("");
    using client = daemon.connect();
    const ids = Array.from({ length: 20 }, (_, i) => i);
    const wanted = (id: number): Wanted => ({ user: { uidMap: `0 ${id} 1` } });
    const inodes = ids.map((id) => client.inodes("one", wanted(id)));
    expect(new Set(inodes.map((each) => JSON.stringify(each))).size).toBe(ids.length);
    // All of them still exist.
    expect(ids.map((id) => client.inodes("one", wanted(id)))).toEqual(inodes);
  });

  it("limit the user namespaces of all names together, not counting those that have ended", async () => {
    await start("max_user_namespaces = 3\nexpire_seconds = 0.3");
    using client = daemon.connect();
    const wanted = (id: number): Wanted => ({ user: { uidMap: `0 ${id} 1` } });
    client.inodes("one", wanted(1));
    client.inodes("one", wanted(2));
    client.inodes("two", wanted(1));
    client.send(request("two", wanted(2)));
    expectError(client, "quota reached: 3 user namespaces");
    await until(async () => (await daemon.status()).names === 0, "they have expired");
    for (const id of [1, 2, 3]) client.inodes("three", wanted(id));
    client.send(request("four", wanted(1)));
    expectError(client, "quota reached: 3 user namespaces");
  });

  it("leave nothing of a request that asks for one user namespace too many", async () => {
    await start("max_user_namespaces_per_name = 1");
    using client = daemon.connect();
    client.inodes("one", { user: {} });
    const user = { uidMap: "0 0 1" };
    client.send(request("one", { ipc: true, pid: true, lease: true, user }));
    expectError(client, "quota reached");
    await until(() => daemon.childPids().length === 0, "its init has ended");
    const status = await daemon.status();
    expect(status).toMatchObject({ names: 1, kept: { ipc: 0, pid: 0 }, leasedNames: 0 });
  });

  it("limit all connections together, and those of one uid", async () => {
    await start("max_connections = 3\nmax_connections_per_uid = 2\nallow_uids = [1001, 1002]");
    using peer = new Peer();
    const one = daemon.connect();
    const two = daemon.connect();
    expectAlive(one);
    expectAlive(two);
    const perUid = "quota reached: 2 connections of one uid";
    expect(peer.run([], daemon.address, GOOD)).toEqual([perUid, "closed"]);
    await peer.start(as({ uid: 1001 }), daemon.address, GOOD, ["--hold", "1"]);
    const other = () => peer.run(as({ uid: 1002 }), daemon.address, GOOD)[0];
    expect(other()).toBe("quota reached: 3 connections");
    one[Symbol.dispose]();
    expect(other()).toBe("handles");
    const again = daemon.connect();
    expectAlive(again);
    expect(other()).toBe("quota reached: 3 connections");
    await peer.endAll();
    expect(other()).toBe("handles");
    // A connection that was refused stays refused, even when there is room again.
    const third = new TestClient(daemon.address);
    again[Symbol.dispose]();
    third.send(GOOD);
    expectError(third, perUid);
    expectEnd(third);
    two[Symbol.dispose]();
    await until(async () => (await daemon.status()).connections === 0, "all are gone");
  });
});
