/**
 * Tests that crowds of connections, each of which holds a descriptor of the daemon, affect neither
 * names, nor the status, nor metrics.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { missing } from "@cm4all/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BEHAVIOURS, type Behaviour, Crowd, type StreamAddress, scrape } from "./support/crowd.ts";
import { TestDaemon, until } from "./support/daemon.ts";
import { as } from "./support/peer.ts";

const PORT = { host: "127.0.0.1", port: 10469 } as const;
const CROWD = 2000;

/** Enough for all connections that the daemon allows, but not for a crowd. */
const DESCRIPTORS = 512;

const behaviours = Object.keys(BEHAVIOURS) as Behaviour[];

const TIMEOUT_MS = 180_000;
const cannotRun = missing("root", "catatonit", "iproute2") !== undefined;

describe.skipIf(cannotRun)("a crowd", { timeout: TIMEOUT_MS }, () => {
  let daemon: TestDaemon;
  let crowd: Crowd | undefined;
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "cm4all-spawn-strangers-"));
  });
  afterEach(async () => {
    await crowd?.end();
    crowd = undefined;
    await daemon.stop();
    rmSync(directory, { recursive: true });
  });

  /** Starts a daemon in its own network namespace, with few descriptors. */
  async function start(metrics: string): Promise<void> {
    daemon = await TestDaemon.start({
      // Not an abstract address, which would belong to that network namespace.
      address: join(directory, "namespaces.sock"),
      config: `[metrics]\nlisten = "${metrics}"\n`,
      wrapper: [
        ...["prlimit", `--nofile=${DESCRIPTORS}`, "unshare", "--net"],
        ...["sh", "-c", 'ip link set lo up && exec "$@"', "sh"],
      ],
    });
    await daemon.untilLogged(`metrics are served at ${metrics}`);
  }

  const inside = () => ["nsenter", `--target=${daemon.pid}`, "--net"];
  const stranger = () => [...inside(), ...as({})];

  async function expectService(address: StreamAddress): Promise<void> {
    for (let i = 0; i < 3; i++) {
      using client = daemon.connect();
      expect(client.inodes(`name ${i}`, { ipc: true, pid: true }).pid).toBeGreaterThan(0);
      expect((await daemon.status()).names).toBe(i + 1);
      expect((await scrape(address, inside())).text).toMatch(/^cm4all_spawn_namespace_names \d+$/m);
    }
    expect(daemon.descriptorCount()).toBeLessThan(DESCRIPTORS - 50);
    expect(daemon.log).not.toMatch(/EMFILE|ENFILE/);
  }

  it.each(behaviours)("that %s at the port of the metrics does no harm", async (behaviour) => {
    await start("127.0.0.1:10469");
    const options = { address: PORT, behaviour, count: CROWD, reconnects: true };
    crowd = await Crowd.start({ ...options, wrapper: stranger() });
    await expectService(PORT);
  });

  it.each(behaviours)("that %s at the metrics' Unix socket does no harm", async (behaviour) => {
    const path = join(directory, "metrics.sock");
    await start(path);
    crowd = await Crowd.start({ address: { path }, behaviour, count: CROWD, reconnects: true });
    await expectService({ path });
  });

  it.each(behaviours)("that %s at the control socket does no harm", async (behaviour) => {
    await start("127.0.0.1:10469");
    const address = { path: daemon.controlSocket };
    crowd = await Crowd.start({ address, behaviour, count: CROWD, reconnects: true });
    await expectService(PORT);
  });

  it.each(["metrics", "control"])("at %s is disconnected when its time is up", async (which) => {
    await start("127.0.0.1:10469");
    const address = which === "metrics" ? PORT : { path: daemon.controlSocket };
    const before = await daemon.restingDescriptorCount();
    for (const behaviour of behaviours) {
      const options = { address, behaviour, count: 20, reconnects: false };
      crowd = await Crowd.start({ ...options, wrapper: inside() });
      if (behaviour === "says nothing" || behaviour === "sends a byte now and then")
        await until(() => daemon.descriptorCount() >= before + 20, "all are accepted");
      await until(() => daemon.descriptorCount() <= before, "none is left", 30_000);
      await crowd.end();
    }
  });
});

describe.skipIf(cannotRun)("a client", () => {
  it("at the control socket gets an answer after it has shut down its writing side", async () => {
    const daemon = await TestDaemon.start();
    try {
      const socket = connect({ path: daemon.controlSocket, allowHalfOpen: true });
      socket.end('{"command":"status"}\n');
      expect(JSON.parse(await text(socket))).toMatchObject({ pid: daemon.pid });
      socket.destroy();
    } finally {
      await daemon.stop();
    }
  });
});
