import { spawnSync } from "node:child_process";
import {
  existsSync,
  fstatSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { missing } from "@cm4all/testing";
import { describe, expect, it } from "vitest";
import * as linux from "../src/index.ts";
import { intFunction } from "../src/libc.ts";
import { killChild, PausedChildStack } from "../src/paused-child.ts";

const inode = (fd: linux.Fd) => fstatSync(fd.number).ino;
const noRoot = missing("root") !== undefined;

describe.skipIf(noRoot)("namespaces", () => {
  it("are made without moving the thread into them", () => {
    const before = linux.ownNamespaceInode("ipc");
    using ipc = linux.createNamespace("ipc");
    expect(inode(ipc)).not.toBe(before);
    expect(linux.ownNamespaceInode("ipc")).toBe(before);
    const inside = linux.withNamespace(ipc.number, "ipc", () => linux.ownNamespaceInode("ipc"));
    expect(inside).toBe(inode(ipc));
    expect(linux.ownNamespaceInode("ipc")).toBe(before);
  });

  it("are left when the work throws", () => {
    const before = linux.ownNamespaceInode("uts");
    using uts = linux.createNamespace("uts");
    expect(() =>
      linux.withNamespace(uts.number, "uts", () => {
        throw new Error("work");
      }),
    ).toThrow("work");
    expect(linux.ownNamespaceInode("uts")).toBe(before);
  });

  it("mount namespaces keep their mounts to themselves", () => {
    const cwd = process.cwd();
    const before = linux.ownNamespaceInode("mnt");
    const directory = mkdtempSync(join(tmpdir(), "cm4all-linux-"));
    linux.withNewMountNamespace(() => {
      expect(linux.ownNamespaceInode("mnt")).not.toBe(before);
      linux.mount({ source: "tmpfs", target: directory, type: "tmpfs" });
      writeFileSync(join(directory, "inside"), "");
    });
    expect(linux.ownNamespaceInode("mnt")).toBe(before);
    expect(readlinkSync("/proc/thread-self/cwd")).toBe("/");
    expect(existsSync(join(directory, "inside"))).toBe(false);
    process.chdir(cwd);
    rmSync(directory, { recursive: true });
  });

  it("user namespaces are made without leaving a process behind", () => {
    const maps = { uidMap: "0 1000 1\n", gidMap: "0 100 1\n" };
    const fds = Array.from({ length: 50 }, () => linux.createUserNamespace(maps));
    expect(new Set(fds.map(inode)).size).toBe(50);
    for (const fd of fds) fd.close();
    expect(readFileSync("/proc/thread-self/children", "utf8")).toBe("");
  });

  it("user namespaces are made without exposing our memory to root without capabilities", () => {
    const dumpable = () => intFunction("prctl", 5)(3, 0, 0, 0, 0);
    const before = dumpable();
    const looks: unknown[] = [];
    const look = () => {
      const pid = readFileSync("/proc/thread-self/children", "utf8").trim();
      const powerless = ["--bounding-set=-all", "--inh-caps=-all"];
      const script = `true </proc/${pid}/status || exit 9; true </proc/${pid}/mem || exit 5`;
      looks.push(spawnSync("setpriv", [...powerless, "sh", "-c", script]).status);
      return "0 1000 1\n";
    };
    // createUserNamespace reads the first map, and so calls `look`, while the child exists.
    const maps = {
      get uidMap() {
        return look();
      },
      gidMap: undefined,
    };
    linux.createUserNamespace(maps).close();
    expect(looks).toEqual([5]);
    expect(dumpable()).toBe(before);
  });

  it("user namespaces report a refused map with its errno, and leave nothing behind", () => {
    const maps = { uidMap: "rubbish", gidMap: undefined };
    expect(() => linux.createUserNamespace(maps)).toThrow("EINVAL");
    expect(readFileSync("/proc/thread-self/children", "utf8")).toBe("");
  });

  it.skipIf(missing("catatonit") !== undefined)("PID namespaces get an init", () => {
    using own = linux.openOwnNamespace("pid");
    linux.unshare(linux.CLONE_NEWPID);
    let pid: number;
    try {
      pid = linux.spawn({
        path: "/usr/bin/catatonit",
        argv: ["init test", "-P"],
        environment: [],
        stdio: ["null", "null", "null"],
        newSession: true,
      });
    } finally {
      linux.setns(own.number, linux.CLONE_NEWPID);
    }
    using pidfd = linux.pidfdOpen(pid);
    // posix_spawn returns when the child stops using our memory. The child's command line is empty
    // until the kernel has set the new one.
    while (readFileSync(`/proc/${pid}/cmdline`, "latin1") === "");
    expect(readFileSync(`/proc/${pid}/cmdline`, "latin1")).toBe("init test\0-P\0");
    expect(readFileSync(`/proc/${pid}/status`, "utf8")).toMatch(/^NSpid:\t\d+\t1$/m);
    expect(linux.parseNamespaceLink(readlinkSync(`/proc/${pid}/ns/pid`))).not.toBe(inode(own));
    expect(linux.reap(linux.P_PIDFD, pidfd.number, linux.WNOHANG)).toBeUndefined();
    expect(linux.pidfdSendSignal(pidfd.number, linux.SIGKILL)).toBe(true);
    expect(linux.reap(linux.P_PIDFD, pidfd.number)).toEqual({ kind: "killed", signal: 9 });
    expect(linux.pidfdSendSignal(pidfd.number, 0)).toBe(false);
    expect(linux.tryPidfdOpen(pid)).toBeUndefined();
  });

  it("user namespaces have a parent", () => {
    using user = linux.createUserNamespace({ uidMap: undefined, gidMap: undefined });
    using parent = linux.namespaceParent(user.number);
    expect(parent === undefined ? undefined : inode(parent)).toBe(
      statSync("/proc/self/ns/user").ino,
    );
  });
});

describe.skipIf(noRoot)("mounts", () => {
  it("are made and removed in the thread's own mount namespace", () => {
    const directory = mkdtempSync(join(tmpdir(), "cm4all-linux-"));
    linux.unshare(linux.CLONE_FS);
    linux.unshare(linux.CLONE_NEWNS);
    linux.mount({ target: "/", flags: linux.MS_REC | linux.MS_PRIVATE });
    linux.mount({ source: "none", target: directory, type: "tmpfs", data: "mode=0700" });
    const file = join(directory, "f");
    writeFileSync(file, "");
    using ipc = linux.createNamespace("ipc");
    linux.mount({
      source: `/proc/thread-self/fd/${ipc.number}`,
      target: file,
      flags: linux.MS_BIND,
    });
    expect(statSync(file).ino).toBe(inode(ipc));
    linux.umount(file);
    expect(() => linux.umount(file)).toThrow("EINVAL");
    linux.umount(directory, linux.MNT_DETACH);
    expect(existsSync(file)).toBe(false);
    rmSync(directory, { recursive: true });
  });
});

describe("spawn", () => {
  it("gives the child only its standard descriptors", () => {
    const [readEnd, writeEnd] = linux.pipe();
    const pid = linux.spawn({
      path: "/bin/sh",
      argv: ["sh", "-c", 'ls -m /proc/$$/fd; grep -E "^Sig(Ign|Blk)" /proc/self/status; env'],
      environment: ["A=b"],
      stdio: ["null", writeEnd.number, "null"],
    });
    writeEnd.close();
    let text = "";
    const chunk = Buffer.alloc(4096);
    for (;;) {
      const length = readSync(readEnd.number, chunk);
      if (length === 0) break;
      text += chunk.toString("utf8", 0, length);
    }
    readEnd.close();
    expect(linux.reap(linux.P_PID, pid)).toEqual({ kind: "exited", status: 0 });
    expect(text).toMatch(/^0, 1, 2$/m);
    expect(text).toMatch(/SigIgn:\t0+$/m);
    expect(text).toMatch(/SigBlk:\t0+$/m);
    expect(text).toContain("A=b");
  });

  it("names a program that cannot be started", () => {
    const options = { path: "/nonexistent", argv: ["x"], environment: [], stdio: [] };
    expect(() => linux.spawn(options)).toThrow('posix_spawn(path="/nonexistent"): ENOENT');
  });
});

describe("a paused child", () => {
  it("lives until it is killed or its time is up", () => {
    const stack = new PausedChildStack();
    const killed = stack.start();
    expect(linux.reap(linux.P_PID, killed, linux.WNOHANG)).toBeUndefined();
    killChild(killed);
    expect(linux.reap(linux.P_PID, killed)).toEqual({ kind: "killed", signal: linux.SIGKILL });
    const left = stack.start({}, 1);
    expect(linux.reap(linux.P_PID, left)).toEqual({ kind: "exited", status: 0 });
  });
});
