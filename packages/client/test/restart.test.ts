/** Tests the library against the real daemon, which is restarted between requests. */
import { missing } from "@cm4all/testing";
import { describe, expect, it } from "vitest";
import { connect } from "../src/index.ts";
import { Daemon } from "./daemon.ts";

describe.skipIf(missing("root", "catatonit") !== undefined)("a client", () => {
  it("goes on with the next daemon on its socket", async () => {
    const first = await Daemon.start();
    const { socket } = first;
    using client = await connect({ socket });
    {
      using before = await client.request("foo", { ipc: true, pid: true, lease: true });
      using again = await client.request("foo", { ipc: true, pid: true });
      expect([again.ipc.inode, again.pid.inode]).toEqual([before.ipc.inode, before.pid.inode]);
    }
    await first.stop();
    await expect(client.request("foo", { ipc: true })).rejects.toMatchObject({
      kind: "unavailable",
    });

    const second = await Daemon.start({ socket });
    try {
      // Before this request, the client has no connection. Before the next one, to the third
      // daemon, it has a connection to a daemon that has ended.
      (await client.request("foo", { ipc: true })).close();
    } finally {
      await second.stop();
    }
    const third = await Daemon.start({ socket });
    try {
      using grant = await client.request("foo", { ipc: true, lease: true });
      expect(grant.ipc.inode).toBeGreaterThan(0);
    } finally {
      await third.stop();
    }
  });

  it("gets the daemon's reason for refusing a map", async () => {
    const daemon = await Daemon.start();
    try {
      using client = await connect({ socket: daemon.socket });
      const asked = client.request("foo", { user: { uidMap: "0 0 0" } });
      await expect(asked).rejects.toMatchObject({
        kind: "refused",
        message: expect.stringContaining("EINVAL"),
      });
      (await client.request("foo", { user: { uidMap: "0 0 1" } })).close();
    } finally {
      await daemon.stop();
    }
  });
});
