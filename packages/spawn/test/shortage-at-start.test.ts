/**
 * Starts the daemon while descriptors or memory are short: it ends, and neither the store of the
 * earlier run nor an init is touched, so that the next start restores everything.
 */
import { once } from "node:events";
import { rmSync } from "node:fs";
import { inTime, isAlive, missing } from "@cm4all/testing";
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import type { Answer } from "./support/client.ts";
import type { TestDaemon } from "./support/daemon.ts";
import { FakeManager } from "./support/manager.ts";

interface Shortage {
  /** In the syntax of strace's `inject=`. */
  readonly fault: string;
  /** Only calls with this path fail. */
  readonly path?: string;
}

/**
 * Faults of the system calls with which the daemon takes over a store, or finds the service
 * manager.
 */
const SHORTAGES: Readonly<Record<string, Shortage>> = {
  "a descriptor for the service manager": { fault: "socket:error=EMFILE" },
  "memory for entering the store": { fault: "setns:error=ENOMEM:when=1" },
  "memory for reading a name": { fault: "open,openat:error=ENOMEM", path: "/names/1/name" },
  "a descriptor for reading a uid": { fault: "open,openat:error=EMFILE", path: "/names/1/uid" },
  "memory for finding a namespace": {
    fault: "lstat,newfstatat,statx:error=ENOMEM",
    path: "/names/1/ipc",
  },
  "a descriptor for a lease": { fault: "open,openat:error=ENFILE", path: "/names/1/lease" },
  "memory for the pidfd of an init": { fault: "pidfd_open:error=ENOMEM" },
};

/** Returns a command that runs a program in which calls fail. */
function strace({ fault, path }: Shortage): string[] {
  // -D: the program keeps the pid for which the service manager's descriptors are meant.
  const trace = ["-f", "-D", "-qq", "-o", "/dev/null", "-e", `trace=${fault.split(":")[0]}`];
  return ["strace", ...trace, ...(path === undefined ? [] : ["-P", path]), "-e", `inject=${fault}`];
}

const WANTED = { ipc: true, pid: true };

describe.skipIf(missing("root", "catatonit", "cgroup2", "strace") !== undefined)(
  "a daemon that starts without",
  () => {
    let manager: FakeManager;
    let daemon: TestDaemon;
    let leased: Answer;
    beforeEach(async () => {
      manager = new FakeManager();
      daemon = await manager.start();
      using client = daemon.connect();
      leased = client.ask("leased", { ...WANTED, lease: true });
    });
    afterEach(async () => {
      leased[Symbol.dispose]();
      await daemon.stop();
      await manager.close();
    });

    it.each(Object.entries(SHORTAGES))("%s ends and loses nothing", async (_, shortage) => {
      const before = inodes();
      const inits = daemon.childPids();
      expect(inits).toHaveLength(1);
      await daemon.end("SIGTERM");
      const lines = manager.lines.length;
      const failing = manager.spawn({ wrapper: strace(shortage) });
      onTestFinished(() => {
        failing.child.kill("SIGKILL");
        rmSync(failing.directory, { recursive: true });
      });
      await inTime(once(failing.child, "close"), "the daemon has ended", 20_000);
      expect(failing.log).toMatch(/^[^\n]*(?:ENOMEM|EMFILE|ENFILE)[^\n]*\n$/);
      expect(failing.child.exitCode).toBe(71);
      expect(inits.filter(isAlive)).toEqual(inits);
      daemon = await manager.start();
      expect(manager.lines.slice(lines).join("\n")).not.toContain("FDSTORE");
      expect(inodes()).toEqual(before);
      expect((await daemon.status()).leasedNames).toBe(1);
      expect(inits.filter(isAlive)).toEqual(inits);
    });

    function inodes() {
      using client = daemon.connect();
      return client.inodes("leased", WANTED);
    }
  },
);
