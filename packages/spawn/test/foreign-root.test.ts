/**
 * Tests that the daemon, whatever its root directory is, creates its store, finds it again, and
 * changes nothing else. In a chroot, it could easily change other files: setns(2) moves the thread
 * to the root of the mount namespace, outside the chroot.
 */
import { closeSync, mkdirSync, openSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CLONE_FS, CLONE_NEWNS, mount, setns, unshare } from "@cm4all/linux";
import { missing } from "@cm4all/testing";
import { afterEach, describe, expect, it } from "vitest";
import { Home } from "../src/namespaces/names/home.ts";
import { tryReadInitName } from "../src/namespaces/names/init.ts";
import { kill, storeThread, TestDaemon, until } from "./support/daemon.ts";
import { FakeManager } from "./support/manager.ts";
import { FakeRoot, MountNamespace } from "./support/roots.ts";

const ALL = { ipc: true, pid: true };
const FORMAT = "cm4all-spawn namespaces 1\n";

/** Creates directories that a daemon would take for those of its names. */
function addNames(directory: string): void {
  mkdirSync(join(directory, "names/1"), { recursive: true });
  writeFileSync(join(directory, "names/1/name"), "");
  mkdirSync(join(directory, "names/x"));
  writeFileSync(join(directory, "names/x/precious"), "of somebody else");
}

function identity(path: string): string {
  const { dev, ino } = statSync(path);
  return `${dev}:${ino}`;
}

/** Returns the pids of these names' inits, which a daemon that ends leaves for the next daemon. */
function initsOf(...names: string[]): number[] {
  return readdirSync("/proc")
    .filter((pid) => /^\d+$/.test(pid))
    .map(Number)
    .filter((pid) => names.includes(tryReadInitName(pid) ?? ""));
}

describe.skipIf(missing("root", "catatonit"))("in a chroot", () => {
  for (const isMount of [true, false])
    for (const hasNames of [true, false])
      it(`that is ${isMount ? "" : "not "}a mount point, ${hasNames ? "with" : "without"} /names outside, only the store is changed`, async () => {
        using root = new FakeRoot();
        if (hasNames) addNames(root.directory);
        const before = root.contents();
        const manager = new FakeManager();
        const wrapper = root.chroot(isMount);
        let daemon = await manager.start({ wrapper });
        try {
          using client = daemon.connect();
          const inodes = client.inodes("jailed", ALL);
          expect(readdirSync(`${storeThread(daemon)}/root`).sort()).toEqual([
            "format",
            "names",
            "proc",
          ]);
          // An init has the daemon's root: /proc/PID/root of an init must not lead to the root of
          // the system.
          const [init] = daemon.childPids();
          const own = `/proc/${daemon.pid}/root/`;
          expect(identity(own)).not.toBe(identity(root.directory));
          expect(identity(`/proc/${init}/root/`)).toBe(identity(own));
          await daemon.end("SIGKILL");
          daemon = await manager.start({ wrapper });
          using again = daemon.connect();
          expect(again.inodes("jailed", ALL)).toEqual(inodes);
          again.inodes("another", ALL);
          expect(await daemon.control({ command: "purge-namespaces", onlyIdle: false })).toEqual({
            ended: 2,
            left: 0,
          });
        } finally {
          await daemon.stop();
          await manager.close();
        }
        expect(root.contents()).toBe(before);
      });

  it("that cannot have a store, the daemon says so in one line and changes nothing", async () => {
    using root = new FakeRoot("sys");
    addNames(root.directory);
    const before = root.contents();
    const daemon = new TestDaemon({ wrapper: root.chroot(false) });
    await until(() => daemon.child.exitCode !== null, "it has ended");
    expect(daemon.child.exitCode).toBe(71);
    expect(daemon.log).toMatch(/^\S+ cannot make the store of namespaces: mount\(.*ENOENT.*\n$/);
    expect(root.contents()).toBe(before);
  });
});

it.skipIf(missing("root", "strace") !== undefined)(
  "if a container refuses pivot_root(2), the daemon says so in one line",
  async () => {
    const refuse = ["-e", "trace=pivot_root", "-e", "inject=pivot_root:error=EPERM"];
    const wrapper = ["strace", "-f", "-qq", "-o", "/dev/null", ...refuse];
    const daemon = new TestDaemon({ wrapper });
    await until(() => daemon.child.exitCode !== null, "it has ended");
    expect(daemon.child.exitCode).toBe(71);
    expect(daemon.log).toMatch(
      /^\S+ cannot make the store .*: pivot_root\(.*EPERM.*; a container may refuse the call, .*\n$/,
    );
  },
);

describe.skipIf(missing("root", "catatonit"))("a stored mount namespace", () => {
  let daemon: TestDaemon | undefined;
  afterEach(async () => {
    await daemon?.stop();
    daemon = undefined;
  });

  const refused: [what: string, prepare: (directory: string) => string][] = [
    [
      "is refused if its root is not a tmpfs",
      (directory) => {
        writeFileSync(join(directory, "format"), FORMAT);
        return `mount --bind "${directory}" "${directory}"`;
      },
    ],
    [
      "is refused if its /names is in another file system",
      (directory) =>
        `mount -t tmpfs none /mnt; mkdir /mnt/names; mount --bind "${directory}/names" /mnt/names;
         printf '${FORMAT.trim()}\\n' >/mnt/format; mount --move /mnt "${directory}"`,
    ],
    [
      "is refused if it has another format",
      (directory) =>
        `mount -t tmpfs none /mnt; cp -r "${directory}/names" /mnt; echo 2 >/mnt/format;
         mount --move /mnt "${directory}"`,
    ],
    [
      "is refused if its file `format` is a link",
      (directory) =>
        `mount -t tmpfs none /mnt; mkdir /mnt/names; printf '${FORMAT.trim()}\\n' >/mnt/real;
         ln -s real /mnt/format; mount --move /mnt "${directory}"`,
    ],
  ];
  for (const [what, prepare] of refused)
    it(what, async () => {
      using root = new FakeRoot();
      addNames(root.directory);
      const commands = prepare(root.directory);
      const before = root.contents();
      using namespace = await MountNamespace.withRoot(root.directory, commands);
      const manager = new FakeManager();
      manager.store.push({ fd: namespace.open(), name: "namespaces" });
      daemon = await manager.start();
      await daemon.untilLogged(/^\S+ starting with an empty store: .*\n/);
      expect(daemon.log.split("\n").filter((line) => line.includes("store"))).toHaveLength(1);
      using client = daemon.connect();
      client.inodes("new", { ipc: true });
      await daemon.stop();
      await manager.close();
      expect(root.contents()).toBe(before);
    });

  it("in which a mount covers the store ends the daemon before it writes there", async () => {
    daemon = await TestDaemon.start();
    using client = daemon.connect();
    const before = `before-${process.pid}`;
    client.inodes(before, ALL);
    unshare(CLONE_FS);
    const home = Home.ofThisThread();
    const fd = openSync(`${storeThread(daemon)}/ns/mnt`, "r");
    setns(fd, CLONE_NEWNS);
    mount({ source: "none", target: "/", type: "tmpfs" });
    home.enter();
    home.close();
    closeSync(fd);
    const after = `after-${process.pid}`;
    expect(() => client.inodes(after, { pid: true })).toThrow();
    await until(() => daemon?.child.exitCode !== null, "it has ended");
    expect(daemon.child.exitCode).toBe(71);
    for (const pid of initsOf(before, after)) kill(pid);
    await until(
      () => daemon?.log.includes("fatal: the thread is in the wrong mount namespace") === true,
      "its last line has come",
    );
  });
});
