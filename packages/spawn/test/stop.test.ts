/**
 * Tests that SIGTERM ends the daemon within 1.5 s, whatever it is doing. `stop-peers.test.ts` tests
 * the same while peers misbehave.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { missing, readProc } from "@cm4all/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AccountingHost } from "./support/accounting.ts";
import { request } from "./support/client.ts";
import { kill, until } from "./support/daemon.ts";
import { EndTimes, PATIENCE_MS, REPEATS } from "./support/end-times.ts";
import { as, Peer } from "./support/peer.ts";
import { StoppedThread, stoppableThreads, threadOf } from "./support/stopped-thread.ts";

const cannotRun = missing("root", "catatonit", "cgroup2", "gcc") !== undefined;

describe.skipIf(cannotRun)("SIGTERM ends the daemon in time", { repeats: REPEATS }, () => {
  const times = new EndTimes();
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

  const expectEnd = () => times.expectEnd(host.daemon);

  it("while the daemon is idle", async () => {
    host.writeHandler("");
    await host.start();
    await host.untilReady();
    await expectEnd();
  });

  it("while a handler hangs", async () => {
    host.writeHandler('say("called") os.execute("sleep 20")');
    await host.start();
    await host.scratch.runToEnd("a.scope/job");
    await until(() => host.said !== "", "the handler was called");
    await expectEnd();
  });

  it("while the script host is stopped", async () => {
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

  it("while the database does not answer new connections", async () => {
    const silent = createServer();
    const path = join(host.directory, ".s.PGSQL.5432");
    let greetings = 0;
    silent.on("connection", (socket) => socket.once("data", () => greetings++));
    silent.listen(path);
    try {
      await once(silent, "listening");
      chmodSync(path, 0o777);
      host.writeScript(`
        local db = pg:new(${JSON.stringify(`host=${host.directory} dbname=x`)})
        function cgroup_released(cgroup) assert(db:execute("SELECT 1")) end`);
      await host.start();
      await host.scratch.runToEnd("a.scope/job");
      await until(() => greetings > 0, "the script asks for a session");
      await expectEnd();
    } finally {
      silent.close();
    }
  });

  it.skipIf(missing("strace") !== undefined)("while the journal's disk hangs", async () => {
    host.writeHandler('say("called")');
    await host.start();
    await host.untilReady();
    // pwrite64 is one of these calls because the journal is opened with O_DSYNC: a write returns
    // only when the data is on the disk.
    const writes = "pwrite64,fsync,fdatasync";
    const args = ["-e", `trace=${writes}`, "-e", `inject=${writes}:delay_enter=600000000`];
    const strace = spawn("strace", ["-f", "-p", `${host.daemon.pid}`, ...args], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    let said = "";
    strace.stderr.on("data", (data) => {
      said += data;
    });
    const ended = once(strace, "exit");
    try {
      await until(() => said.includes("attached"), "it is traced");
      await host.scratch.runToEnd("a.scope/job");
      await until(() => /pwrite64\(|sync\(/.test(said), "it writes");
      const daemonEnded = host.daemon.end("SIGTERM");
      // All threads have ended except one, which strace holds in a call that does not return.
      const hasEnded = () => /^State:\tZ/m.test(readProc(host.daemon.pid, "status"));
      await times.measure(() => until(hasEnded, "it has ended", PATIENCE_MS));
      strace.kill("SIGKILL");
      expect(await daemonEnded).toBe(0);
    } finally {
      strace.kill("SIGKILL");
      await ended;
    }
    expect(host.exists("a.scope/job")).toBe(true);
  });

  it.skipIf(missing(stoppableThreads) !== undefined).each(["namespaces", "reaper"])(
    "while the thread %s is stopped",
    async (name) => {
      host.writeHandler("");
      await host.start();
      await host.untilReady();
      await using _ = await StoppedThread.stop(threadOf(host.daemon.pid, name));
      await expectEnd();
    },
  );

  it("with thousands of names", async () => {
    host.writeHandler("");
    await host.start();
    using client = host.daemon.connect();
    for (let i = 0; i < 3000; i++) client.inodes(`name ${i}`, { ipc: true });
    await expectEnd();
  });

  it("while strangers and spawners flood the daemon", async () => {
    host.writeHandler("");
    await host.start();
    const datagram = request("name", { ipc: true });
    for (const who of [as({}), as({ capabilities: ["sys_admin"] }), []])
      await peer.start(who, host.daemon.address, datagram, ["--flood"]);
    await until(async () => (await host.daemon.status()).requests.answered > 500, "it is flooded");
    await expectEnd();
  });
});
