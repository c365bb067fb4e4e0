/** Tests a log that is not read, or cannot be written: it must not block any thread. */
import { readFileSync, rmSync } from "node:fs";
import { missing } from "@cm4all/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { DaemonStatus } from "../src/status/status.ts";
import { AccountingHost } from "./support/accounting.ts";
import { TestDaemon, until } from "./support/daemon.ts";
import { Pipe, redirectTo } from "./support/pipe.ts";

describe.skipIf(missing("root", "catatonit", "cgroup2") !== undefined)("the log", () => {
  let host: AccountingHost;
  let daemon: TestDaemon;
  let pipe: Pipe;
  beforeEach(() => {
    host = new AccountingHost();
    pipe = new Pipe();
  });
  afterEach(async () => {
    await daemon.stop();
    await host.stop();
    pipe.close();
  });

  async function start(path: string, wrapper: readonly string[] = []): Promise<void> {
    const config = `[reaper]\ncgroup_root = "${host.scratch.path}"\nscopes = ["*.scope"]\n`;
    daemon = new TestDaemon({ config, wrapper: [...wrapper, ...redirectTo(path)] });
    await until(async () => (await status().catch(() => undefined)) !== undefined, "it runs");
  }

  const status = async () => (await daemon.control({ command: "status" })) as DaemonStatus;

  async function expectWork(): Promise<void> {
    using client = daemon.connect();
    expect(client.inodes("name", { ipc: true, pid: true }).pid).toBeGreaterThan(0);
    await until(async () => (await status()).reaper?.inotifyWatches === 2, "it reaps");
    for (let i = 0; i < 5; i++) await host.scratch.runToEnd(`a.scope/${i}`);
    await until(async () => (await status()).reaper?.deletedCgroups === 5, "all are deleted");
  }

  it("that nobody reads does not block the daemon, and is complete once it is read", async () => {
    pipe.fill();
    await start(pipe.path);
    await expectWork();
    let text = pipe.drain();
    await until(() => {
      text += pipe.drain();
      return ["listening on", ...Array(5).keys()].every((part) => text.includes(String(part)));
    }, "the lines have come");
    expect(text).not.toContain("were lost");
  });

  it("that nobody reads does not block the end of the daemon", async () => {
    pipe.fill();
    await start(pipe.path);
    await expectWork();
    expect(await daemon.end("SIGTERM")).toBe(0);
  });

  it("on a full disk does not block the daemon", async () => {
    await start("/dev/full");
    await expectWork();
  });

  it("says how many lines were lost on a full disk, once there is room", async () => {
    const disk = "mount -t tmpfs -o size=64k none /mnt && ! head -c 1M /dev/zero >/mnt/rest";
    await start("/mnt/log", [
      "unshare",
      "-m",
      "sh",
      "-c",
      `${disk} 2>/dev/null && exec "$@"`,
      "sh",
    ]);
    await expectWork();
    const path = (name: string) => `/proc/${daemon.pid}/root/mnt/${name}`;
    expect(readFileSync(path("log"), "utf8")).toBe("");
    rmSync(path("rest"));
    await host.scratch.runToEnd("a.scope/last");
    const text = () => readFileSync(path("log"), "utf8");
    await until(() => text().includes(" lines of the log were lost"), "it is logged");
    // Each thread counts its own lost lines: those of the reaper are about the five cgroups.
    expect(text()).toMatch(/^\S+ .*last: .*\n\S+ 5 lines of the log were lost because [^\n]*\n$/);
  });
});
