/**
 * Tests commands while the daemon is stopped by SIGSTOP: they print one line and give up, and the
 * package can be removed.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { inTime, missing } from "@cm4all/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BUNDLE, TestDaemon } from "./support/daemon.ts";

const EX_TEMPFAIL = 75;
/** The exit status of `cm4all-spawn status` if the daemon's state is unknown. */
const UNKNOWN = 4;
const PRERM = fileURLToPath(new URL("../../../debian/cm4all-spawn.prerm", import.meta.url));

/** Returns the stderr and exit status of a command. Kills it if it does not end in time. */
async function run(command: readonly string[]) {
  const child = spawn(process.execPath, command);
  try {
    const result = Promise.all([text(child.stderr), once(child, "exit")]);
    return await inTime(result, "the command gives up");
  } finally {
    child.kill("SIGKILL");
  }
}

describe.skipIf(missing("root", "catatonit") !== undefined)("a stopped daemon", () => {
  let daemon: TestDaemon;
  beforeEach(async () => {
    daemon = await TestDaemon.start();
  });
  afterEach(() => daemon.stop());

  const options = (seconds: number) => [
    ...[BUNDLE, "--control", daemon.controlSocket, "--config", daemon.configFile],
    ...["--timeout", String(seconds)],
  ];

  it.each([
    "status",
    "status --json",
    "purge-namespaces --all",
    "purge-namespaces --all --idle",
    "accounting list",
    "accounting retry --all",
  ])("does not block %s", async (command) => {
    await daemon.whilePaused(async () => {
      const [said, ended] = await run([...options(0.5), ...command.split(" ")]);
      const status = command.startsWith("status") ? UNKNOWN : EX_TEMPFAIL;
      expect(ended).toEqual([status, null]);
      expect(said).toBe(
        `cm4all-spawn: the daemon did not answer within 0.5 s (${daemon.controlSocket})\n`,
      );
    });
  });

  it("does not keep its package from being removed", async () => {
    const program = join(daemon.directory, "cm4all-spawn");
    const command = [process.execPath, ...options(0.5)].map((word) => `'${word}'`).join(" ");
    writeFileSync(program, `#!/bin/sh\nexec ${command} "$@"\n`);
    chmodSync(program, 0o755);
    // The script takes /run/systemd/system as the sign of a running service manager.
    const script = `mount -t tmpfs none /run && mkdir -p /run/systemd/system &&
      PATH="${daemon.directory}:$PATH" exec sh "${PRERM}" remove`;
    await daemon.whilePaused(() => {
      const removal = spawnSync("unshare", ["--mount", "sh", "-c", script], {
        encoding: "utf8",
      });
      expect(removal).toMatchObject({ status: 0, signal: null });
      expect(removal.stderr).toContain("the daemon did not answer within 0.5 s");
    });
  });

  it("is not asked with a timeout of 0", () => {
    const { status, stderr } = spawnSync(process.execPath, [...options(0), "status"], {
      encoding: "utf8",
    });
    expect(status).toBe(64);
    expect(stderr).toContain("It is not a number of seconds");
  });
});
