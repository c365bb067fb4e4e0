/** The reaper inside the real daemon. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { missing, ScratchCgroup } from "@cm4all/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { DaemonStatus } from "../src/status.ts";
import { TestDaemon, until } from "./support/daemon.ts";

describe.skipIf(missing("root", "catatonit", "cgroup2") !== undefined)("the daemon", () => {
  let scratch: ScratchCgroup;
  let daemon: TestDaemon | undefined;

  const config = (more = "") =>
    `[reaper]\ncgroup_root = "${scratch.path}"\nextra_scopes = ["*.scope"]\n${more}`;
  const status = async () => (await daemon?.control({ command: "status" })) as DaemonStatus;
  const exists = (name: string) => existsSync(join(scratch.path, name));

  beforeEach(() => {
    scratch = new ScratchCgroup();
    scratch.make("a.scope");
  });

  afterEach(async () => {
    await daemon?.stop();
    daemon = undefined;
    await scratch.remove();
  });

  it("reaps without a script, and shows it in its status", async () => {
    daemon = await TestDaemon.start({ config: config() });
    await until(async () => (await status()).reaper !== undefined, "the reaper runs");
    await scratch.runToEnd("a.scope/job/step");
    await until(() => !exists("a.scope/job"), "the cgroup is deleted");
    expect(daemon.log).toMatch(/job\/step: since=\S+ cpu=/);
    const { reaper, accounting } = await status();
    expect(reaper).toMatchObject({ releasedCgroups: 2, deletedCgroups: 2, watchedCgroups: 0 });
    expect(reaper?.scopeCpuSeconds).toEqual({ "/a.scope": expect.any(Number) });
    expect(accounting).toMatchObject({ script: "idle", waitingCgroups: 0 });
  });

  it("reaps the default scopes and those that are added", async () => {
    const scope = "system.slice/system-cm4all.slice/bp-spawn.scope";
    scratch.make(`${scope}/old`);
    scratch.make("b.scope/old");
    daemon = await TestDaemon.start({ config: config() });
    await until(() => !exists(`${scope}/old`) && !exists("b.scope/old"), "both are deleted");
  });

  it("leaves cgroups alone when told to", async () => {
    scratch.make("a.scope/old");
    daemon = await TestDaemon.start({ config: config("enabled = false\n") });
    expect((await status()).accounting).toBeUndefined();
    expect(exists("a.scope/old")).toBe(true);
  });

  it("serves namespaces while the cgroup root is missing, and starts its thread again", async () => {
    const root = join(scratch.path, "later");
    daemon = await TestDaemon.start({
      config: `[reaper]\ncgroup_root = "${root}"\nscopes = ["*.scope"]\n`,
    });
    await daemon.untilLogged("the reaper ended, starting it again: ENOENT");
    expect((await status()).namespace.names).toBe(0);
    expect((await status()).reaper).toBeUndefined();
    scratch.make("later/b.scope/old");
    await until(() => !exists("later/b.scope/old"), "the cgroup is deleted");
  });

  it("stops at once while its thread waits to be started again", async () => {
    const root = join(scratch.path, "never");
    daemon = await TestDaemon.start({ config: `[reaper]\ncgroup_root = "${root}"\n` });
    // The pause after the third end is of 4 seconds.
    const ends = () => daemon?.log.split("the reaper ended, starting it again").length;
    await until(() => ends() === 4, "it has ended three times");
    expect(await daemon.end("SIGTERM")).toBe(0);
    expect(daemon.log).not.toMatch(/crashed|takes too long/);
    expect(ends()).toBe(4);
  });
});
