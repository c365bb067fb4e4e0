/** Tests sockets that the service manager passes, and the signals that end the daemon. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  AF_UNIX,
  bindUnix,
  type Fd,
  listen,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  socket,
} from "@cm4all/linux";
import { missing } from "@cm4all/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TestClient } from "./support/client.ts";
import { TestDaemon, until } from "./support/daemon.ts";

describe.skipIf(missing("root", "catatonit") !== undefined)("the daemon", () => {
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), "passed-sockets-"));
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  function listening(address: string, type: number): Fd {
    const fd = socket(AF_UNIX, type);
    bindUnix(fd.number, address);
    listen(fd.number, 5);
    return fd;
  }

  const passed = (fds: readonly Fd[]) => fds.map(({ number }) => ({ fd: number, name: "any" }));

  it("serves all sockets that are passed", async () => {
    const addresses = [join(directory, "one"), `@passed-${process.pid}`, join(directory, "three")];
    const fds = addresses.map((address) => listening(address, SOCK_SEQPACKET));
    const daemon = await TestDaemon.start({ passed: passed(fds) });
    try {
      const inodes = addresses.map((address) => {
        using client = new TestClient(address);
        return client.inodes("same", { ipc: true }).ipc;
      });
      expect(new Set(inodes).size).toBe(1);
    } finally {
      await daemon.stop();
      for (const fd of fds) fd.close();
    }
  });

  it("does not start if it would leave a socket unserved", async () => {
    const fds = [
      listening(join(directory, "good"), SOCK_SEQPACKET),
      listening(join(directory, "stream"), SOCK_STREAM),
    ];
    const daemon = new TestDaemon({ passed: passed(fds) });
    await until(() => daemon.child.exitCode !== null, "it has ended");
    expect(daemon.child.exitCode).toBe(78);
    expect(daemon.log).toContain("a socket that is not ListenSequentialPacket=");
    await daemon.stop();
    for (const fd of fds) fd.close();
  });

  it.each(["SIGTERM", "SIGINT", "SIGQUIT"] as const)(
    "ends with exit status 0 on %s",
    async (signal) => {
      const daemon = await TestDaemon.start();
      daemon.child.kill(signal);
      await until(() => daemon.child.exitCode !== null, "it has ended");
      expect(daemon.child.exitCode).toBe(0);
      await daemon.stop();
    },
  );
});
