/** Starts the daemon with a metrics address that cannot be used (yet): everything else works. */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { missing } from "@cm4all/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { DaemonStatus } from "../src/status/status.ts";
import { type StreamAddress, scrape } from "./support/crowd.ts";
import { TestDaemon, until } from "./support/daemon.ts";

/** Returns a port that is in use until the server is closed. */
async function takePort(): Promise<{ server: Server; port: number }> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("not a port");
  return { server, port: address.port };
}

describe.skipIf(missing("root", "catatonit", "iproute2") !== undefined)(
  "metrics cannot be served yet",
  () => {
    let daemon: TestDaemon;
    let directory: string;
    beforeEach(() => {
      directory = mkdtempSync(join(tmpdir(), "cm4all-spawn-metrics-"));
    });
    afterEach(async () => {
      await daemon.stop();
      rmSync(directory, { recursive: true });
    });

    const configuration = (address: string) => `[metrics]\nlisten = "${address}"\n`;
    const metrics = async () =>
      ((await daemon.control({ command: "status" })) as DaemonStatus).metrics;
    const warnings = () => daemon.log.split("\n").filter((line) => line.includes("cannot serve"));

    /** Expects that the daemon serves names, and logs once why it serves no metrics. */
    async function expectWaiting(address: string, reason: RegExp): Promise<void> {
      await until(async () => (await metrics())?.problem !== undefined, "it has been tried");
      using client = daemon.connect();
      expect(client.inodes("name", { ipc: true, pid: true }).pid).toBeGreaterThan(0);
      expect(await metrics()).toMatchObject({ address, isListening: false });
      expect((await metrics())?.problem).toMatch(reason);
      // Longer than the time until the second attempt.
      await sleep(1500);
      expect(warnings()).toHaveLength(1);
      expect(warnings()[0]).toContain(address);
      expect(warnings()[0]).toMatch(reason);
    }

    async function expectServed(
      address: string,
      where: StreamAddress,
      wrapper: readonly string[] = [],
    ): Promise<void> {
      await daemon.untilLogged(`metrics are served at ${address}`);
      expect(await metrics()).toEqual({ address, isListening: true });
      expect((await scrape(where, wrapper)).status).toBe(200);
      expect(daemon.log.match(/metrics are served/g)).toHaveLength(1);
      expect(daemon.log).not.toMatch(/^ +at /m);
    }

    it("because the port is in use", async () => {
      const { server, port } = await takePort();
      const address = `127.0.0.1:${port}`;
      daemon = await TestDaemon.start({ config: configuration(address) });
      await expectWaiting(address, /EADDRINUSE/);
      server.close();
      await expectServed(address, { host: "127.0.0.1", port });
    });

    it("because no interface has the address", async () => {
      daemon = await TestDaemon.start({
        address: join(directory, "namespaces.sock"),
        config: configuration("192.0.2.1:10469"),
        // The daemon runs in a network namespace that does not have this address.
        wrapper: ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"],
      });
      await expectWaiting("192.0.2.1:10469", /EADDRNOTAVAIL/);
      const inside = ["nsenter", `--target=${daemon.pid}`, "--net"];
      execFileSync("nsenter", [
        ...inside.slice(1),
        "ip",
        "addr",
        "add",
        "192.0.2.1/32",
        "dev",
        "lo",
      ]);
      await expectServed("192.0.2.1:10469", { host: "192.0.2.1", port: 10469 }, inside);
    });

    it("because the directory of the socket is missing", async () => {
      const path = join(directory, "later", "metrics.sock");
      daemon = await TestDaemon.start({ config: configuration(path) });
      await expectWaiting(path, /EACCES|ENOENT/);
      mkdirSync(join(directory, "later"));
      await expectServed(path, { path });
    });

    it("because the path is below a file", async () => {
      const file = join(directory, "file");
      writeFileSync(file, "");
      const path = join(file, "metrics.sock");
      daemon = await TestDaemon.start({ config: configuration(path) });
      await expectWaiting(path, /ENOTDIR/);
      rmSync(file);
      mkdirSync(file);
      await expectServed(path, { path });
    });

    it("because there is a file at the path", async () => {
      const path = join(directory, "metrics.sock");
      writeFileSync(path, "");
      daemon = await TestDaemon.start({ config: configuration(path) });
      await expectWaiting(path, /EADDRINUSE/);
      rmSync(path);
      await expectServed(path, { path });
      expect(statSync(path).mode & 0o777).toBe(0o600);
    });

    it("because the path is too long, until a reload changes it", async () => {
      const path = `/${"x".repeat(120)}`;
      daemon = await TestDaemon.start({ config: configuration(path) });
      await expectWaiting(path, /1 to 107 bytes/);
      const other = join(directory, "metrics.sock");
      writeFileSync(join(daemon.directory, "spawn.toml"), configuration(other));
      daemon.child.kill("SIGHUP");
      await expectServed(other, { path: other });
      await sleep(3000);
      expect(await metrics()).toEqual({ address: other, isListening: true });
      expect(warnings()).toHaveLength(1);
    });

    it("and a reload that configures no address ends the attempts", async () => {
      const { server, port } = await takePort();
      daemon = await TestDaemon.start({ config: configuration(`127.0.0.1:${port}`) });
      await until(async () => (await metrics())?.problem !== undefined, "it has been tried");
      writeFileSync(join(daemon.directory, "spawn.toml"), "");
      daemon.child.kill("SIGHUP");
      await daemon.untilLogged("reloaded the configuration");
      expect(await metrics()).toBeUndefined();
      server.close();
      await sleep(3000);
      expect(daemon.log).not.toContain("metrics are served");
    });
  },
);
