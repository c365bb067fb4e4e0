/** Tests the reaper inside the real daemon. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join, relative } from "node:path";
import { cgroup2Mount, missing, ScratchCgroup } from "@cm4all/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { DaemonStatus } from "../src/status/status.ts";
import { TestDaemon, until } from "./support/daemon.ts";
import { currentLimit, limitDescriptors, setLimit } from "./support/descriptors.ts";

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

  it("reaps without a script, and shows the figures in its status", async () => {
    daemon = await TestDaemon.start({ config: config() });
    await until(async () => (await status()).reaper?.inotifyWatches === 2, "the scope is watched");
    await scratch.runToEnd("a.scope/job/step");
    await until(() => !exists("a.scope/job"), "the cgroup is deleted");
    await daemon.untilLogged(/job\/step: (since=\S+ )?cpu=/);
    const { reaper, accounting } = await status();
    expect(reaper).toMatchObject({ releasedCgroups: 2, deletedCgroups: 2, watchedCgroups: 0 });
    expect(reaper?.scopeCpuSeconds).toEqual({ "/a.scope": expect.any(Number) });
    expect(accounting).toMatchObject({ script: "idle", waitingCgroups: 0 });
  });

  it("reaps the default scopes and additional ones", async () => {
    const scope = "system.slice/system-cm4all.slice/bp-spawn.scope";
    scratch.make(`${scope}/old`);
    scratch.make("b.scope/old");
    daemon = await TestDaemon.start({ config: config() });
    await until(() => !exists(`${scope}/old`) && !exists("b.scope/old"), "both are deleted");
  });

  it("leaves cgroups alone with reaper.enabled = false", async () => {
    scratch.make("a.scope/old");
    daemon = await TestDaemon.start({ config: config("enabled = false\n") });
    expect((await status()).accounting).toBeUndefined();
    expect(exists("a.scope/old")).toBe(true);
  });

  describe("whose cgroup2 is covered by another file system", () => {
    const mount = cgroup2Mount() ?? "";
    /** Starts the daemon in a mount namespace of its own, in which a tmpfs covers cgroup2. */
    const wrapper = [
      "unshare",
      "-m",
      "sh",
      "-c",
      `mount -t tmpfs none ${mount} && exec "$@"`,
      "sh",
    ];
    const scope = () => `${relative(mount, scratch.path)}/b.scope`;

    it("serves namespaces meanwhile, and starts the reaper's thread again", async () => {
      scratch.make("b.scope/old");
      const scopes = `[reaper]\nscopes = ["${scope()}"]\n`;
      daemon = await TestDaemon.start({ config: scopes, wrapper });
      const line = `the reaper ended, starting it again: ${mount} is not in cgroup2, but in tmpfs\n`;
      await daemon.untilLogged(line);
      expect((await status()).namespace.names).toBe(0);
      expect((await status()).reaper).toBeUndefined();
      execFileSync("nsenter", ["-m", "-t", String(daemon.child.pid), "umount", mount]);
      await until(() => !exists("b.scope/old"), "the cgroup is deleted");
    });

    it("starts the reaper's thread again after there were no descriptors for it", async () => {
      scratch.make("b.scope/old");
      daemon = await TestDaemon.start({ config: `[reaper]\nscopes = ["${scope()}"]\n`, wrapper });
      await daemon.untilLogged("the reaper ended, starting it again: ");
      const limit = currentLimit(daemon);
      // First no descriptor is free for the thread's eventfd, then none for its event loop.
      for (const [free, line] of [
        [0, "the reaper ended, starting it again: eventfd(): EMFILE"],
        [1, /the reaper ended, starting it again: (?!eventfd).*EMFILE/],
      ] as const) {
        limitDescriptors(daemon, free);
        await daemon.untilLogged(line);
        setLimit(daemon, limit);
      }
      expect(daemon.log).not.toMatch(/crashed|(?:\n| \|) *at /);
      execFileSync("nsenter", ["-m", "-t", String(daemon.child.pid), "umount", mount]);
      await until(() => !exists("b.scope/old"), "the cgroup is deleted");
    });

    it("stops immediately while the reaper's thread waits to be started again", async () => {
      daemon = await TestDaemon.start({ config: `[reaper]\nscopes = ["${scope()}"]\n`, wrapper });
      // The pause after the third end is 4 seconds.
      const ends = () => daemon?.log.split("the reaper ended, starting it again").length;
      await until(() => ends() === 4, "it has ended three times");
      expect(await daemon.end("SIGTERM")).toBe(0);
      expect(daemon.log).not.toMatch(/crashed|takes too long/);
      expect(ends()).toBe(4);
    });
  });
});
