/**
 * Tests surroundings in which the daemon cannot run: it ends with a line that gives the reason, and
 * with the exit status for this reason.
 */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { missing } from "@cm4all/testing";
import { describe, expect, it, onTestFinished } from "vitest";
import { TestDaemon, until } from "./support/daemon.ts";

const inMounts = (script: string) => ["unshare", "-m", "sh", "-c", `${script} && exec "$@"`, "sh"];

interface Surroundings {
  readonly wrapper: readonly string[];
  readonly status: number;
  readonly line: RegExp;
}

/** Returns a command that runs a program without a capability. */
const without = (name: string) => ["setpriv", `--inh-caps=-${name}`, `--bounding-set=-${name}`];

const SURROUNDINGS: Record<string, Surroundings> = {
  "without /proc": {
    wrapper: inMounts("umount -l /proc"),
    status: 69,
    line: /^cm4all-spawn: \/proc has to be mounted: ENOENT/,
  },
  "with a /proc that is empty": {
    wrapper: inMounts("mount -t tmpfs none /proc"),
    status: 69,
    line: /^cm4all-spawn: \/proc has to be mounted: ENOENT/,
  },
  "without CAP_SYS_ADMIN": {
    wrapper: without("sys_admin"),
    status: 77,
    line: /^cm4all-spawn: needs CAP_SYS_ADMIN/,
  },
  // The thread for namespaces logs the line. The main thread waits for that thread, and logs none.
  "without CAP_SETPCAP": {
    wrapper: without("setpcap"),
    status: 71,
    line: /^\S+ prctl\(PR_CAPBSET_DROP\).*EPERM/,
  },
  "without CAP_SYS_CHROOT": {
    wrapper: without("sys_chroot"),
    status: 71,
    line: /^\S+ cannot make the store of namespaces: setns.*EPERM/,
  },
  "in a directory that is gone": {
    wrapper: ["sh", "-c", 'd=$(mktemp -d) && cd "$d" && rmdir "$d" && exec "$@"', "sh"],
    status: 71,
    line: /^\S+ ENOENT: .*uv_cwd/,
  },
};

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

/**
 * Returns whether there were too few descriptors for Node itself to start. Depending on its version,
 * Node is then killed by a signal, or ends with an error in one of its own modules.
 */
function hasNotStarted({ child, log }: TestDaemon): boolean {
  return child.signalCode !== null || log.startsWith("node:");
}

describe.skipIf(missing("root", "catatonit") !== undefined)("the daemon ends and logs why", () => {
  it.each(Object.entries(SURROUNDINGS))("%s", async (_, { wrapper, status, line }) => {
    const daemon = new TestDaemon({ wrapper });
    onTestFinished(() => rmSync(daemon.directory, { recursive: true }));
    const [ended] = await once(daemon.child, "close");
    expect(daemon.log).toMatch(line);
    expect(daemon.log.split("\n")).toHaveLength(2);
    expect(daemon.log).not.toMatch(/(?:\n| \|) *at /);
    expect(ended).toBe(status);
  });

  /** With fewer descriptors, Node itself does not start: with 18, it is killed by SIGSEGV. */
  const FEWEST = 19;

  it("with any number of descriptors that is too small", async () => {
    const lines = new Set<string>();
    for (let limit = FEWEST; ; limit++) {
      const daemon = new TestDaemon({ wrapper: ["prlimit", `--nofile=${limit}:${limit}`] });
      onTestFinished(() => rmSync(daemon.directory, { recursive: true, force: true }));
      const closed = once(daemon.child, "close");
      await until(
        () => hasEnded(daemon.child) || daemon.log.includes("listening on"),
        "it has ended or listens",
      );
      if (daemon.child.exitCode === 1) await closed;
      if (hasNotStarted(daemon)) continue;
      if (daemon.child.exitCode === null) {
        await daemon.stop();
        break;
      }
      await closed;
      expect(daemon.log).toMatch(/^[^\n]*(EMFILE|too many open files)[^\n]*\n$/);
      // Some versions of Node do not name the errno if they cannot load the file of a thread.
      const status = daemon.log.includes("EMFILE") ? 71 : 70;
      expect([limit, daemon.child.exitCode]).toEqual([limit, status]);
      lines.add(daemon.log.replace(/^\S+ /, ""));
    }
    expect(lines.size).toBeGreaterThan(2);
  });
});
