/**
 * Fills the disk of the journal, or makes it read-only: cgroups' directories stay, and the log says
 * why. Handlers are called as long as there is room for their marks: the entries of the journal
 * which say that a handler has begun.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { missing } from "@cm4all/testing";
import { afterEach, beforeEach, expect, it } from "vitest";
import { AccountingHost } from "./support/accounting.ts";
import { until } from "./support/daemon.ts";

const COUNT = 20;

let host: AccountingHost;
beforeEach(() => {
  host = new AccountingHost();
});
afterEach(() => host.stop());

/** Runs a shell command in the daemon's mount namespace. `$0` is the path of the journal. */
function onDisk(command: string): void {
  execFileSync("nsenter", ["-m", "-t", `${host.daemon.pid}`, "sh", "-c", command, host.journal], {
    stdio: ["ignore", "ignore", "pipe"],
  });
}

const cannotRun = missing("root", "catatonit", "cgroup2") !== undefined;

it.skipIf(cannotRun)(
  "a full disk does not hold up handlers of a plain script, and nothing is lost",
  async () => {
    const go = join(host.directory, "go");
    // The handler's output is an effect, before which a mark has to be written to the journal.
    host.writeHandler(`
      local f = io.open(${JSON.stringify(go)})
      if not f then error("later") end
      f:close()
      say(cgroup.path)`);
    mkdirSync(host.journal);
    const mount = `mount -t tmpfs -o size=16m none ${host.journal} && exec "$@"`;
    await host.start("", { wrapper: ["unshare", "-m", "sh", "-c", mount, "sh"] });
    await host.untilReady();
    for (let i = 0; i < COUNT; i++) await host.scratch.runToEnd(`a.scope/job-${i}`);
    await until(async () => (await host.accounting()).waitingCgroups === COUNT, "all wait");
    await until(() => {
      onDisk('test -e "$0/reserve"');
      return true;
    }, "the reserve is there");
    onDisk('cat /dev/zero >"$0/fill" || true');
    // A few records still fit into the block that the journal has begun.
    let count = COUNT;
    while ((await host.accounting()).journal !== "failing")
      await host.scratch.runToEnd(`a.scope/job-${count++}`);
    const last = `a.scope/job-${count - 1}`;
    const written = (await host.accounting()).waitingCgroups;
    expect(written).toBeLessThan(count);
    await host.daemon.untilLogged(
      /journal: cannot write the journal, cgroups' directories stay: ENOSPC/,
    );
    writeFileSync(go, "");
    // After a reload, the handlers are called again immediately.
    host.daemon.child.kill("SIGHUP");
    await until(
      async () => (await host.accounting()).accountedCgroups === written,
      "all that are in the journal are accounted",
    );
    expect(host.exists(last)).toBe(true);
    expect((await host.accounting()).journal).toBe("failing");
    onDisk('rm "$0/fill"');
    await until(
      async () => (await host.accounting()).accountedCgroups === count,
      "the others are accounted",
      60_000,
    );
    expect((await host.accounting()).journal).toBe("ready");
    const paths = Array.from({ length: count }, (_, i) => `/a.scope/job-${i}`);
    expect(host.said.split("\n").sort()).toEqual(["", ...paths].sort());
  },
  180_000,
);

it.skipIf(cannotRun)(
  "with a read-only disk, cgroups' directories stay, and namespaces are served",
  async () => {
    host.writeHandler('error("later")');
    await host.start();
    await host.scratch.runToEnd("a.scope/before");
    await host.untilDeleted("a.scope/before");
    await host.daemon.stop();
    host.writeHandler("say(cgroup.path)");
    const mount = `mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"`;
    await host.start("", { wrapper: ["unshare", "-m", "sh", "-c", mount, host.journal] });
    await host.scratch.runToEnd("a.scope/job");
    await host.daemon.untilLogged("cannot write the journal, cgroups' directories stay: EROFS");
    // The handler of `before` needs a mark before it can have an effect.
    await host.daemon.untilLogged("cannot be written: EROFS");
    expect(await host.accounting()).toMatchObject({ journal: "failing", accountedCgroups: 0 });
    expect([host.said, host.exists("a.scope/job")]).toEqual(["", true]);
    using client = host.daemon.connect();
    expect(client.inodes("foo", { ipc: true }).ipc).toBeGreaterThan(0);
    onDisk('mount -o remount,bind,rw "$0"');
    await host.untilDeleted("a.scope/job");
    await until(async () => (await host.accounting()).accountedCgroups === 2, "both are accounted");
    expect(host.said.split("\n").sort()).toEqual(["", "/a.scope/before", "/a.scope/job"]);
  },
);
