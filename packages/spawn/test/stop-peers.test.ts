/**
 * Tests that SIGTERM ends the daemon within 1.5 s, even while it starts or reloads, and whatever
 * its peers do.
 */
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { missing } from "@cm4all/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AccountingHost } from "./support/accounting.ts";
import { Crowd } from "./support/crowd.ts";
import { kill, TestDaemon, until } from "./support/daemon.ts";
import { EndTimes, REPEATS } from "./support/end-times.ts";
import { FakeManager } from "./support/manager.ts";
import { Pipe, redirectTo } from "./support/pipe.ts";
import { tryThreadOf } from "./support/stopped-thread.ts";

/** Signals are sent up to this time after a start, which takes half a second on a quiet machine. */
const START_MS = 1000;
const STEPS = 25;

const cannotRun = missing("root", "catatonit", "cgroup2") !== undefined;

describe.skipIf(cannotRun)("SIGTERM ends the daemon in time", { repeats: REPEATS }, () => {
  const times = new EndTimes();
  let host: AccountingHost;
  const cleanUp: (() => unknown)[] = [];
  beforeEach(() => {
    host = new AccountingHost();
    host.writeHandler("");
  });
  afterEach(async () => {
    for (const end of cleanUp.splice(0).reverse()) await end();
    await host.stop();
  });

  /** Returns a configuration for daemons that a test starts itself. */
  const reaping = () =>
    `[reaper]\ncgroup_root = "${host.scratch.path}"\nscopes = ["*.scope"]
[accounting]\nscript = "${host.directory}/accounting.lua"\nuser = "root"\n`;
  const expectEnd = () => times.expectEnd(host.daemon);

  it("while 3,000 clients are connected, each with an answer", async () => {
    host.reaperConfig = "[namespaces]\nmax_connections_per_uid = 4096\n";
    await host.start();
    for (let i = 0; i < 3000; i++) {
      const client = host.daemon.connect();
      cleanUp.push(() => client[Symbol.dispose]());
      client.inodes(`name ${i % 100}`, { ipc: true });
    }
    expect((await host.daemon.status()).connections).toBeGreaterThanOrEqual(3000);
    await expectEnd();
  });

  it("while nobody reads the daemon's standard error", async () => {
    const pipe = new Pipe();
    cleanUp.push(() => pipe.close());
    pipe.fill();
    const daemon = new TestDaemon({ config: reaping(), wrapper: redirectTo(pipe.path) });
    cleanUp.push(() => daemon.stop());
    await until(
      async () => (await daemon.status().catch(() => undefined)) !== undefined,
      "it runs",
    );
    for (let i = 0; i < 10; i++) await host.scratch.runToEnd(`a.scope/${i}`);
    await until(() => !host.exists("a.scope/9"), "they are deleted");
    await times.expectEnd(daemon);
  });

  it("while clients of the metrics and of the control socket do not read", async () => {
    const path = join(host.directory, "metrics.sock");
    host.reaperConfig = `[metrics]\nlisten = "${path}"\n`;
    await host.start();
    await host.daemon.untilLogged("metrics are served at");
    for (const address of [{ path }, { path: host.daemon.controlSocket }]) {
      const behaviour = "never reads";
      const crowd = await Crowd.start({ address, behaviour, count: 50, reconnects: true });
      cleanUp.push(() => crowd.end());
    }
    const half = connect(host.daemon.controlSocket).on("error", () => {});
    cleanUp.push(() => half.destroy());
    half.write('{"command":"status"');
    await expectEnd();
  });

  it("at any time while the daemon starts", { timeout: 120_000 }, async () => {
    for (let step = 0; step < STEPS; step++) {
      const daemon = new TestDaemon({ config: reaping(), journal: host.journal });
      await sleep((step * START_MS) / STEPS);
      // A daemon that has just started does not catch the signal yet.
      await times.expectEnd(daemon, [0, "SIGTERM"]);
    }
  });

  it("while the daemon starts, and the service manager hangs", async () => {
    const manager = new FakeManager();
    cleanUp.push(() => manager.close());
    manager.isStalled = true;
    const daemon = manager.spawn({ config: reaping(), journal: host.journal });
    cleanUp.push(() => daemon.stop());
    await until(() => tryThreadOf(daemon.pid, "namespaces") !== undefined, "it has begun");
    await sleep(300);
    expect(daemon.log).not.toContain("listening on");
    await times.expectEnd(daemon);
  });

  it("while a reload waits for a slow script", async () => {
    await host.start();
    await host.untilReady();
    const script = join(host.directory, "slow.lua");
    writeFileSync(script, "while true do end");
    const limits = "instructions = 2_000_000_000\nanswer_seconds = 60\n";
    host.reload(`script = "${script}"\nuser = "root"\n${limits}`);
    await until(() => host.scriptHostPids.length > 1, "another script host has started");
    await sleep(300);
    await expectEnd();
  });

  it("while it gets SIGHUP again and again", async () => {
    await host.start();
    await host.untilReady();
    const storm = setInterval(() => kill(host.daemon.pid, "SIGHUP"), 2);
    try {
      await sleep(300);
      await expectEnd();
    } finally {
      clearInterval(storm);
    }
  });

  it("while the reaper handles 1,500 new cgroups", async () => {
    await host.start();
    await host.untilReady();
    for (let i = 0; i < 1500; i++) host.scratch.make(`a.scope/${i}`);
    await host.scratch.runToEnd("a.scope/last");
    await expectEnd();
  });
});
