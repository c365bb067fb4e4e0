import { mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { decodeRequest, encodeDatagram, encodeError, encodeResponse } from "@cm4all/spawn-protocol";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connect, SpawnClient } from "./client.ts";
import { SpawnError } from "./errors.ts";
import { FakeDaemon, type Reply } from "./fake-daemon.ts";

const none = { ipc: false, pid: false, user: false, lease: false };
const ipcAnswer: Reply = { bytes: encodeResponse({ ...none, ipc: true }), fdCount: 1 };

const countFds = () => readdirSync("/proc/self/fd").length;

/** Returns the kind and message of the SpawnError with which `promise` rejects. */
async function failure(promise: Promise<unknown>): Promise<[string, string]> {
  const error = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(error instanceof SpawnError)) throw error ?? new Error("no error");
  return [error.kind, error.message];
}

let fdsBefore: number;
beforeEach(() => {
  fdsBefore = countFds();
});
afterEach(() => {
  expect(countFds(), "open descriptors").toBe(fdsBefore);
});

describe("SpawnClient", () => {
  it("gets a typed handle for each thing that it asks for", async () => {
    const contents = { ipc: true, pid: true, user: true, lease: true };
    using daemon = new FakeDaemon(() => ({ bytes: encodeResponse(contents), fdCount: 4 }));
    using client = await connect({ socket: daemon.address });
    const grant = await client.request("foo", {
      ipc: true,
      pid: true,
      user: { uidMap: "0 0 1", gidMap: "0 1 1" },
      lease: true,
    });
    // The types show that all four handles are there, so no `?.` is needed.
    const numbers = [grant.ipc.fd, grant.pid.fd, grant.user.fd, grant.lease.fd];
    expect(new Set(numbers).size).toBe(4);
    expect(grant.ipc.inode).toBe(grant.lease.inode);
    const { request } = decodeRequest(daemon.requests[0] ?? Buffer.of());
    expect(request).toMatchObject({
      name: "foo",
      ipc: true,
      pid: true,
      user: Buffer.from("0 0 1\x000 1 1"),
      lease: true,
    });
    grant.close();
    expect(() => grant.ipc.fd).toThrow("closed");
    grant.close();
  });

  it("connects at the first request, and asks for a user namespace without maps", async () => {
    using daemon = new FakeDaemon(() => ({
      bytes: encodeResponse({ ...none, user: true }),
      fdCount: 1,
    }));
    using client = new SpawnClient({ socket: daemon.address });
    using grant = await client.request("foo", { user: true, ipc: false });
    expect(grant.user.fd).toBeGreaterThan(2);
    expect(grant.ipc).toBeUndefined();
    expect(decodeRequest(daemon.requests[0] ?? Buffer.of()).request?.user).toHaveLength(0);
  });

  it("gets a lease", async () => {
    using daemon = new FakeDaemon(() => ({
      bytes: encodeResponse({ ...none, lease: true }),
      fdCount: 1,
    }));
    using client = new SpawnClient({ socket: daemon.address });
    using lease = await client.lease("foo");
    expect(lease.fd).toBeGreaterThan(2);
  });

  it("settles simultaneous requests in order", async () => {
    using daemon = new FakeDaemon((n) => (n % 2 ? { bytes: encodeError(`no ${n}`) } : ipcAnswer));
    using client = new SpawnClient({ socket: daemon.address });
    const results = await Promise.allSettled(
      Array.from({ length: 6 }, () => client.request("foo", { ipc: true })),
    );
    expect(
      results.map((result) => (result.status === "fulfilled" ? "ok" : result.reason.message)),
    ).toEqual(["ok", "no 1", "ok", "no 3", "ok", "no 5"]);
    for (const result of results) if (result.status === "fulfilled") result.value.close();
  });

  it("passes on the daemon's refusal, and stays usable", async () => {
    using daemon = new FakeDaemon((n) =>
      n === 0 ? { bytes: encodeError("no: EPERM") } : ipcAnswer,
    );
    using client = new SpawnClient({ socket: daemon.address });
    expect(await failure(client.request("foo", { ipc: true }))).toEqual(["refused", "no: EPERM"]);
    (await client.request("foo", { ipc: true })).close();
  });

  it("refuses a bad name and an empty request before it connects", async () => {
    using client = new SpawnClient({ socket: "@nobody-listens-here" });
    await expect(client.request("a\n", { ipc: true })).rejects.toThrow(RangeError);
    await expect(client.request("foo", {})).rejects.toThrow(RangeError);
    await expect(client.request("foo", { ipc: false })).rejects.toThrow(RangeError);
  });

  it("reports that nobody listens", async () => {
    expect(await failure(connect({ socket: "@nobody-listens-here" }))).toEqual([
      "unavailable",
      "@nobody-listens-here: no spawn daemon listens there",
    ]);
  });

  it("reports errors of connect(2) as `unavailable`", async () => {
    const directory = mkdtempSync("/tmp/spawn-client-");
    try {
      symlinkSync("loop", `${directory}/loop`);
      for (const [socket, errno] of [
        ["/dev/null/socket", "ENOTDIR"],
        [`${directory}/loop`, "ELOOP"],
        ["/dev/null", "ECONNREFUSED"],
      ] as const)
        expect(await failure(connect({ socket }))).toEqual([
          "unavailable",
          expect.stringMatching(errno === "ECONNREFUSED" ? /no spawn daemon/ : errno),
        ]);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

describe("a daemon that hangs up", () => {
  it("is asked again over a new connection, once", async () => {
    using daemon = new FakeDaemon((n) => (n === 0 ? { hangUp: true } : ipcAnswer));
    using client = await connect({ socket: daemon.address });
    (await client.request("foo", { ipc: true })).close();
    expect(daemon.requests).toHaveLength(2);
    expect(daemon.requests[0]).toEqual(daemon.requests[1]);
  });

  it("makes no difference if the connection is idle", async () => {
    using daemon = new FakeDaemon(() => ipcAnswer);
    using client = await connect({ socket: daemon.address });
    (await client.request("foo", { ipc: true })).close();
    daemon.hangUp();
    (await client.request("foo", { ipc: true })).close();
    expect(daemon.requests).toHaveLength(2);
  });

  it("causes an error if it hangs up twice", async () => {
    using daemon = new FakeDaemon(() => ({ hangUp: true }));
    using client = await connect({ socket: daemon.address });
    expect(await failure(client.request("foo", { ipc: true }))).toEqual([
      "closed",
      "the daemon closed the connection without an answer",
    ]);
    expect(daemon.requests).toHaveLength(2);
  });

  it("counts as unavailable once it has ended", async () => {
    using client = new SpawnClient({ socket: "@nobody-listens-here" });
    {
      using daemon = new FakeDaemon(() => ipcAnswer);
      using client = await connect({ socket: daemon.address });
      (await client.request("foo", { ipc: true })).close();
      daemon[Symbol.dispose]();
      expect((await failure(client.request("foo", { ipc: true })))[0]).toBe("unavailable");
    }
    expect((await failure(client.request("foo", { ipc: true })))[0]).toBe("unavailable");
  });

  it("makes no difference if it has not read the request yet", async () => {
    using daemon = new FakeDaemon(() => ipcAnswer);
    using client = await connect({ socket: daemon.address });
    (await client.request("foo", { ipc: true })).close();
    const second = client.request("foo", { ipc: true });
    // The request is sent within a few microtasks, before the daemon's timer runs. So the daemon
    // hangs up before it has read the request, and receiving fails with ECONNRESET.
    for (let i = 0; i < 10; ++i) await undefined;
    daemon.hangUp();
    (await second).close();
    expect(daemon.requests).toHaveLength(2);
  });
});

describe("a daemon that does not answer", () => {
  it("is waited for until the time limit, without blocking the event loop", async () => {
    using daemon = new FakeDaemon(() => ({}));
    using client = new SpawnClient({ socket: daemon.address, timeoutMs: 200 });
    let ticks = 0;
    const timer = setInterval(() => ++ticks, 5);
    const startMs = performance.now();
    const result = await failure(client.request("foo", { ipc: true }));
    clearInterval(timer);
    expect(result).toEqual(["timeout", "the daemon does not answer"]);
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(200);
    expect(ticks).toBeGreaterThan(10);
  });

  it("has its late answer discarded with the connection", async () => {
    using daemon = new FakeDaemon((n) => (n === 0 ? {} : ipcAnswer));
    using client = new SpawnClient({ socket: daemon.address, timeoutMs: 50 });
    expect((await failure(client.request("foo", { ipc: true })))[0]).toBe("timeout");
    (await client.request("foo", { ipc: true })).close();
  });

  it("causes a timeout even if it does not accept the connection", async () => {
    // The listener's queue has room for one connection, and the daemon gets no time to accept it.
    using daemon = new FakeDaemon(() => ({}), 0);
    const clients = Array.from(
      { length: 3 },
      () => new SpawnClient({ socket: daemon.address, timeoutMs: 0 }),
    );
    const results = await Promise.allSettled(clients.map((client) => client.connect()));
    for (const client of clients) client.close();
    const reasons = results.flatMap((result) =>
      result.status === "rejected" ? [`${result.reason.kind}: ${result.reason.message}`] : [],
    );
    expect(new Set(reasons)).toEqual(new Set(["timeout: the daemon does not answer"]));
  });

  it("does not hold up a client that is closed in the meantime", async () => {
    using daemon = new FakeDaemon(() => ({}));
    const client = new SpawnClient({ socket: daemon.address });
    const pending = failure(client.request("foo", { ipc: true }));
    await setTimeout(20);
    client.close();
    expect(await pending).toEqual(["closed", "the client was closed"]);
    expect((await failure(client.connect()))[0]).toBe("closed");
  });
});

it("a client closed at any moment leaves no connection behind", async () => {
  using daemon = new FakeDaemon(() => ipcAnswer);
  for (let moment = 0; moment < 20; ++moment) {
    const client = new SpawnClient({ socket: daemon.address });
    const pending = client.request("foo", { ipc: true }).then(
      (grant) => grant.close(),
      (error) => expect(error).toMatchObject({ kind: "closed" }),
    );
    for (let i = 0; i < moment; ++i) await undefined;
    client.close();
    await pending;
  }
});

describe("an answer that makes no sense", () => {
  const ask = async (reply: Reply): Promise<[string, string]> => {
    using daemon = new FakeDaemon(() => reply);
    using client = new SpawnClient({ socket: daemon.address });
    return await failure(client.request("foo", { ipc: true, pid: true }));
  };
  const good = encodeResponse({ ...none, ipc: true, pid: true });
  const other = "the daemon's answer is not what was asked for";

  it.each<[string, Reply, string]>([
    ["noise", { bytes: Buffer.from("what?"), fdCount: 2 }, "cannot understand the daemon's answer"],
    [
      "a wrong checksum",
      { bytes: Uint8Array.from([...good.slice(0, -1), 1]), fdCount: 2 },
      "cannot understand the daemon's answer: wrong checksum",
    ],
    ["nothing", { bytes: encodeDatagram([]) }, "the response says nothing"],
    ["one namespace too few", ipcAnswer, other],
    ["one descriptor too few", { bytes: good, fdCount: 1 }, other],
    ["one descriptor too many", { bytes: good, fdCount: 3 }, other],
    [
      "a lease in place of a namespace",
      { bytes: encodeResponse({ ...none, ipc: true, lease: true }), fdCount: 2 },
      other,
    ],
    [
      "a lease without its descriptor",
      { bytes: encodeResponse({ ...none, ipc: true, pid: true, lease: true }), fdCount: 2 },
      other,
    ],
    [
      "a lease that nobody asked for",
      { bytes: encodeResponse({ ...none, ipc: true, pid: true, lease: true }), fdCount: 3 },
      other,
    ],
    [
      "other namespaces",
      { bytes: encodeResponse({ ...none, ipc: true, user: true }), fdCount: 2 },
      other,
    ],
    ["100 descriptors", { bytes: good, fdCount: 100 }, "answer is too large"],
    ["10,000 bytes", { bytes: Buffer.alloc(10_000), fdCount: 2 }, "answer is too large"],
  ])("%s is refused, and no descriptor stays open", async (_, reply, message) => {
    const [kind, text] = await ask(reply);
    expect(kind).toBe("protocol");
    expect(text).toContain(message);
  });

  it("an error that comes with descriptors leaves none of them open", async () => {
    expect(await ask({ bytes: encodeError("no"), fdCount: 3 })).toEqual(["refused", "no"]);
  });
});
