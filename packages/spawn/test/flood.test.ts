/** Tests which peers are disconnected unchecked while strangers flood the service. */
import {
  AF_UNIX,
  bindUnix,
  connectUnix,
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
import { Clients } from "../src/namespaces/requests/clients.ts";
import { STRANGERS } from "../src/namespaces/requests/stranger-budget.ts";
import { EventLoop } from "../src/thread/event-loop.ts";
import { uniqueAddress } from "./support/daemon.ts";
import { as, Peer } from "./support/peer.ts";

/** The number of strangers: each serves for one flood, which lasts for a second at most. */
const FLOODS = 10;
const NOTHING = new Uint8Array();

const quotas = {
  ...{ names: 0, namesPerUid: 0, userNamespaces: 0, userNamespacesPerName: 0 },
  ...{ connections: 100, connectionsPerUid: 100 },
};

describe.skipIf(missing("root", "gcc") !== undefined)("in a flood", () => {
  const address = uniqueAddress();
  let peer: Peer;
  let clients: Clients;
  let loop: EventLoop;
  beforeEach(() => {
    peer = new Peer();
    loop = new EventLoop();
    onTestFinished(() => loop.close());
    const allowed = { uids: new Set<number>(), gids: new Set<number>() };
    const settings = { allowed, quotas, lifetimeMs: 0 };
    const shared = makeShared(loop, (error) => expect.unreachable(error.message));
    clients = new Clients(settings, ownNamespaceInode("user"), shared, () => expect.unreachable());
  });
  afterEach(async () => {
    await peer.endAll();
    peer[Symbol.dispose]();
  });

  /** Returns connections of strangers, and that of a peer that came after them. */
  async function connectionsOf(before: readonly string[] | "root") {
    const listening = socket(AF_UNIX, SOCK_SEQPACKET);
    onTestFinished(() => listening.close());
    bindUnix(listening.number, address);
    listen(listening.number, FLOODS + 1);
    await peer.start(as({}), address, NOTHING, ["--hold", String(FLOODS)]);
    if (before === "root") {
      const own = socket(AF_UNIX, SOCK_SEQPACKET);
      onTestFinished(() => own.close());
      connectUnix(own.number, address);
    } else await peer.start(before, address, NOTHING, ["--hold", "1"]);
    const connections: Connection[] = [];
    const listener = new Listener(
      makeShared(loop, (error) => expect.unreachable(error.message)),
      (connection) => {
        if (connections.push(connection) > FLOODS) loop.stop();
        return undefined;
      },
      (error) => expect.unreachable(error.message),
    );
    listener.start(listening.number);
    loop.run();
    listener.stop();
    onTestFinished(() => {
      for (const connection of connections) connection.close();
    });
    const last = connections.pop();
    if (last === undefined) throw new Error("nobody has connected");
    return { strangers: connections, last };
  }

  /** Lets a stranger come and go. @returns how often until it was disconnected unchecked */
  function flood(stranger: Connection): number {
    for (let count = 0; count < 100_000; count++) {
      const client = clients.tryAdd(stranger);
      if (client === undefined) return count;
      expect(client.isStranger).toBe(true);
      clients.forget(client);
    }
    throw new Error("there is no flood");
  }

  it("strangers are", async () => {
    const { strangers, last } = await connectionsOf(as({}));
    for (const stranger of strangers) {
      // On a busy machine so many may take longer than the second for which they are counted.
      expect(flood(stranger)).toBeGreaterThanOrEqual(STRANGERS);
      expect(stranger.isOpen).toBe(false);
      if (clients.tryAdd(last) === undefined) break;
    }
    expect(last.isOpen).toBe(false);
  });

  it("roots of other user namespaces are, who are looked at before", async () => {
    const root = [...as({}), "unshare", "--user", "--map-root-user"];
    const { strangers, last } = await connectionsOf(root);
    expect(clients.tryAdd(last)).toMatchObject({ isStranger: false });
    for (const stranger of strangers) {
      flood(stranger);
      if (clients.tryAdd(last) === undefined) break;
    }
    expect(last.isOpen).toBe(false);
  });

  it.each([
    ["holders of CAP_SYS_ADMIN", as({ capabilities: ["sys_admin"] }), "unproven"],
    ["root", "root" as const, "allowed"],
  ])("%s are not", async (_, before, state) => {
    const { strangers, last } = await connectionsOf(before);
    for (const stranger of strangers.slice(0, 3)) {
      flood(stranger);
      expect(clients.tryAdd(last)).toMatchObject({ isStranger: false, state });
    }
  });
});
