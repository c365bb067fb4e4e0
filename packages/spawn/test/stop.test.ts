/** SIGTERM ends the daemon within 1.5 s, whatever it does. */
import { missing, readProc } from "@cm4all/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AccountingHost } from "./support/accounting.ts";
import { request } from "./support/client.ts";
import { kill, until } from "./support/daemon.ts";
import { as, Peer } from "./support/peer.ts";

/** Far above 1.5 s, for a busy machine, and far below what anything that hangs would take. */
const PATIENCE_MS = 6000;

const cannotRun = missing("root", "catatonit", "cgroup2", "gcc") !== undefined;

describe.skipIf(cannotRun)("SIGTERM", () => {
  let host: AccountingHost;
  let peer: Peer;
  beforeEach(() => {
    host = new AccountingHost();
    peer = new Peer();
  });
  afterEach(async () => {
    await peer.endAll();
    peer[Symbol.dispose]();
    await host.stop();
  });

  async function expectEnd(): Promise<void> {
    const startMs = performance.now();
    expect(await host.daemon.end("SIGTERM")).toBe(0);
    const durationMs = performance.now() - startMs;
    console.log(`ended in ${Math.round(durationMs)} ms`);
    expect(durationMs).toBeLessThan(PATIENCE_MS);
  }

  it("while a handler hangs", async () => {
    host.writeHandler('say("called") os.execute("sleep 20")');
    await host.start();
    await host.scratch.runToEnd("a.scope/job");
    await until(() => host.said !== "", "the handler was called");
    await expectEnd();
  });

  it("while the script host stands still", async () => {
    host.writeHandler('say("called")');
    await host.start();
    await host.untilReady();
    const pid = host.scriptHostPid;
    kill(pid, "SIGSTOP");
    await host.scratch.runToEnd("a.scope/job");
    await host.untilDeleted("a.scope/job");
    await expectEnd();
    await until(() => readProc(pid, "cmdline") === "", "it has ended as well");
  });

  it("with thousands of names", async () => {
    host.writeHandler("");
    await host.start();
    using client = host.daemon.connect();
    for (let i = 0; i < 3000; i++) client.inodes(`name ${i}`, { ipc: true });
    await expectEnd();
  });

  it("while strangers and clients flood it", async () => {
    host.writeHandler("");
    await host.start();
    const datagram = request("name", { ipc: true });
    for (const who of [as({}), as({ capabilities: ["sys_admin"] }), []])
      await peer.start(who, host.daemon.address, datagram, ["--flood"]);
    await until(async () => (await host.daemon.status()).requests.answered > 500, "it is flooded");
    await expectEnd();
  });
});
