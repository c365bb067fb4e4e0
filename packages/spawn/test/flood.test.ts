/**
 * Tests which peers are disconnected without a check of their capabilities (unchecked) while
 * strangers flood the service. A stranger is a peer that is not root, is not allowed by the
 * configuration, and does not have CAP_SYS_ADMIN.
 */
import {
  AF_UNIX,
  bindUnix,
  connectUnix,
  type Fd,
  listen,
  ownNamespaceInode,
  SOCK_SEQPACKET,
  socket,
} from "@cm4all/linux";
import { missing } from "@cm4all/testing";
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import type { Connection } from "../src/namespaces/connections/connection.ts";
import { Listener } from "../src/namespaces/connections/listener.ts";
import { makeShared } from "../src/namespaces/connections/shared.ts";
import {
  type Client,
  Clients,
  MAX_UNPROVEN_PER_UID,
  SEEMINGLY_CAPABLE,
  SEEMINGLY_CAPABLE_PER_UID,
} from "../src/namespaces/requests/clients.ts";
import { STRANGERS } from "../src/namespaces/requests/stranger-budget.ts";
import { EventLoop } from "../src/thread/event-loop.ts";
import { uniqueAddress } from "./support/daemon.ts";
import { as, Peer } from "./support/peer.ts";

/**
 * The number of strangers. Each is used for one flood, which lasts for a second at most: if it is
 * over too soon, a test goes on with the next stranger.
 */
const FLOODS = 10;
const NOTHING = new Uint8Array();

const UID = 61_000;

/** Returns the start of a command line that runs a program as root of another user namespace. */
const rootElsewhere = (uid: number) => [...as({ uid }), "unshare", "--user", "--map-root-user"];

const quotas = {
  ...{ names: 0, namesPerUid: 0, userNamespaces: 0, userNamespacesPerName: 0 },
  ...{ connections: 100, connectionsPerUid: 100 },
};

function newLoop(): EventLoop {
  const loop = new EventLoop();
  onTestFinished(() => loop.close());
  return loop;
}

describe.skipIf(missing("root", "gcc") !== undefined)("in a flood", () => {
  const address = uniqueAddress();
  let peer: Peer;
  let clients: Clients;
  let loop: EventLoop;
  let goOn: (client: Client) => void;
  beforeEach(() => {
    peer = new Peer();
    loop = newLoop();
    goOn = () => expect.unreachable();
    const allowed = { uids: new Set<number>(), gids: new Set<number>() };
    const settings = { allowed, quotas, lifetimeMs: 0 };
    const shared = makeShared(loop, (error) => expect.unreachable(error.message));
    clients = new Clients(settings, ownNamespaceInode("user"), shared, (client) => goOn(client));
  });
  afterEach(async () => {
    await peer.endAll();
    peer[Symbol.dispose]();
  });

  function listenFor(count: number): Fd {
    const listening = socket(AF_UNIX, SOCK_SEQPACKET);
    onTestFinished(() => listening.close());
    bindUnix(listening.number, address);
    listen(listening.number, count);
    return listening;
  }

  function acceptAll(listening: Fd, count: number): Connection[] {
    const accepting = newLoop();
    const connections: Connection[] = [];
    const listener = new Listener(
      makeShared(accepting, (error) => expect.unreachable(error.message)),
      (connection) => {
        if (connections.push(connection) === count) accepting.stop();
        return "waits";
      },
      (what) => expect.unreachable(what),
    );
    listener.start(listening.number);
    accepting.run();
    listener.stop();
    onTestFinished(() => {
      for (const connection of connections) connection.close();
    });
    return connections;
  }

  /** Returns connections of strangers, and the connection of a peer that connected after them. */
  async function connectionsOf(before: readonly string[] | "root") {
    const listening = listenFor(FLOODS + 1);
    await peer.start(as({}), address, NOTHING, ["--hold", String(FLOODS)]);
    if (before === "root") {
      const own = socket(AF_UNIX, SOCK_SEQPACKET);
      onTestFinished(() => own.close());
      connectUnix(own.number, address);
    } else await peer.start(before, address, NOTHING, ["--hold", "1"]);
    const connections = acceptAll(listening, FLOODS + 1);
    const last = connections.pop();
    if (last === undefined) throw new Error("nobody has connected");
    return { strangers: connections, last };
  }

  /**
   * Adds and forgets a stranger until it is disconnected unchecked.
   * @returns how many times it was added
   */
  function flood(stranger: Connection): number {
    // From now on, no stranger has to wait, as when the service stops: each becomes a client
    // immediately, and the end of its connection is counted.
    clients.endWaiting();
    for (let count = 0; count < 100_000; count++) {
      const client = clients.tryAdd(stranger);
      if (client === "closed") return count;
      if (client === "waits") throw new Error("a stranger waits");
      expect(client.isStranger).toBe(true);
      clients.forget(client);
    }
    throw new Error("there is no flood");
  }

  it("strangers are disconnected unchecked", async () => {
    const { strangers, last } = await connectionsOf(as({}));
    for (const stranger of strangers) {
      // On a busy machine, this may take longer than the second after which the count restarts;
      // then more than STRANGERS are added.
      expect(flood(stranger)).toBeGreaterThanOrEqual(STRANGERS);
      expect(stranger.isOpen).toBe(false);
      if (clients.tryAdd(last) === "closed") break;
    }
    expect(last.isOpen).toBe(false);
  });

  it("roots of other user namespaces are disconnected, too, but not before the flood", async () => {
    const { strangers, last } = await connectionsOf(rootElsewhere(UID));
    expect(clients.tryAdd(last)).toMatchObject({ isStranger: false });
    for (const stranger of strangers) {
      flood(stranger);
      if (clients.tryAdd(last) === "closed") break;
    }
    expect(last.isOpen).toBe(false);
  });

  it.each([
    ["holders of CAP_SYS_ADMIN", as({ capabilities: ["sys_admin"] }), "unproven"],
    ["root", "root" as const, "allowed"],
  ])("%s are not disconnected", async (_, before, state) => {
    const { strangers, last } = await connectionsOf(before);
    for (const stranger of strangers.slice(0, 3)) {
      flood(stranger);
      expect(clients.tryAdd(last)).toMatchObject({ isStranger: false, state });
    }
  });

  it.each([
    ["one uid holds", [SEEMINGLY_CAPABLE_PER_UID + 10], SEEMINGLY_CAPABLE_PER_UID],
    ["all of them hold", Array<number>(6).fill(50), SEEMINGLY_CAPABLE],
  ])(
    "roots of other user namespaces count as strangers if %s too many connections",
    async (_, of, max) => {
      const count = of.reduce((sum, one) => sum + one, 0);
      const listening = listenFor(count);
      for (const [i, held] of of.entries())
        await peer.start(rootElsewhere(UID + i), address, NOTHING, ["--hold", String(held)]);
      const added = acceptAll(listening, count).map((connection) => clients.tryAdd(connection));
      expect(added.map((client) => client === "waits")).toEqual(added.map((_, i) => i >= max));
    },
  );

  it("the oldest connection makes room, whether it waits or not", async () => {
    const count = MAX_UNPROVEN_PER_UID + 2;
    const listening = listenFor(count);
    // All peers have the same uid. The last two displace the two oldest: one that does not wait,
    // and a stranger, which waits.
    const started: [readonly string[], number][] = [
      [rootElsewhere(UID), 1],
      [as({ uid: UID }), MAX_UNPROVEN_PER_UID - 1],
      [rootElsewhere(UID), 2],
    ];
    for (const [who, held] of started)
      await peer.start(who, address, NOTHING, ["--hold", String(held)]);
    const connections = acceptAll(listening, count);
    for (const connection of connections) clients.tryAdd(connection);
    expect(clients.size).toBe(MAX_UNPROVEN_PER_UID);
    expect(clients.all().map(({ connection }) => connection)).toEqual(connections.slice(-2));
  });

  /** Connects strangers, which send nothing and thus wait. */
  async function wait(count = FLOODS): Promise<void> {
    const listening = listenFor(count);
    await peer.start(as({}), address, NOTHING, ["--hold", String(count)]);
    for (const connection of acceptAll(listening, count)) {
      expect(clients.tryAdd(connection)).toBe("waits");
      expect(connection.isOpen).toBe(false);
    }
    expect([clients.size, clients.all()]).toEqual([count, []]);
  }

  it("strangers that have waited become clients again when nobody may wait any longer", async () => {
    await wait();
    const back: Client[] = [];
    goOn = (client) => {
      clients.fellSilent(client);
      back.push(client);
    };
    clients.endWaiting();
    expect(clients.all()).toEqual(back);
    expect([clients.size, back.length]).toEqual([FLOODS, FLOODS]);
    for (const client of back) {
      expect(client.connection.isOpen).toBe(true);
      clients.close(client);
    }
  });

  it("strangers that send nothing wait, and are counted, until they hang up", async () => {
    await wait();
    goOn = (client) => {
      clients.close(client);
      if (clients.size === 0) loop.stop();
    };
    await peer.endAll();
    loop.run();
  });

  it("strangers that have waited wait again if nothing has arrived after all", async () => {
    await wait();
    let silent = 0;
    goOn = (client) => {
      if (silent++ < FLOODS) {
        clients.fellSilent(client);
        expect(client.connection.isOpen).toBe(false);
        expect([clients.size, clients.all()]).toEqual([FLOODS, []]);
        return;
      }
      clients.close(client);
      if (clients.size === 0) loop.stop();
    };
    await peer.endAll();
    loop.run();
    expect(silent).toBe(2 * FLOODS);
  });

  it("strangers that have waited are closed unchecked once too many of them have hung up", async () => {
    const count = 1.5 * STRANGERS;
    await wait(count);
    let looks = 0;
    goOn = (client) => {
      looks++;
      clients.close(client);
    };
    const look = () => {
      if (clients.size === 0) loop.stop();
      else loop.after(10, look);
    };
    look();
    await peer.endAll();
    loop.run();
    expect(looks).toBeGreaterThanOrEqual(STRANGERS);
    expect(looks).toBeLessThan(count);
  });
});
