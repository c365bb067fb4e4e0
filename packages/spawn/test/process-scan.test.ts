import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { openSync } from "node:fs";
import { Fd, openOwnNamespace, ownNamespaceInode, withNamespace } from "@cm4all/linux";
import { missing, readProc } from "@cm4all/testing";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { endChild, InitStarter } from "../src/namespaces/names/init.ts";
import {
  listProcesses,
  scanProcesses,
  tryReadPidNamespace,
} from "../src/namespaces/names/process-scan.ts";
import { until } from "./support/daemon.ts";

/** A path for which openSync fails once with ENOENT. */
let gone: string | undefined;
vi.mock("node:fs", async (importOriginal) => {
  const fs = await importOriginal<typeof import("node:fs")>();
  const open = (path: string, flags: string) => {
    if (path !== gone) return fs.openSync(path, flags);
    gone = undefined;
    throw Object.assign(new Error("gone"), { code: "ENOENT" });
  };
  return { ...fs, openSync: open };
});

describe.skipIf(missing("root", "catatonit") !== undefined)("a scan of all processes", () => {
  const ownInode = ownNamespaceInode("pid");
  let pid: number;
  let inode: number;
  beforeAll(() => {
    using own = openOwnNamespace("pid");
    pid = new InitStarter(own).start("process-scan.test");
    inode = tryReadPidNamespace(pid) ?? 0;
  });
  afterAll(() => endChild(pid));

  /** Scans the processes, and calls `meanwhile` at the first pause of the scan. */
  function scan(meanwhile?: () => void): Set<number> {
    const walk = scanProcesses([{ pid, inode }], ownInode);
    let step = walk.next();
    meanwhile?.();
    while (step.done !== true) step = walk.next();
    return step.value;
  }

  it("finds nothing in a namespace with only an init", () => {
    expect(scan()).toEqual(new Set());
  });

  // Unless there are thousands of processes, the first pass has listed all of them before the new
  // process starts, and only the second pass finds it.
  it("finds a process that started during the scan", async () => {
    using namespace = new Fd(openSync(`/proc/${pid}/ns/pid`, "r"));
    let child: ChildProcess | undefined;
    const found = scan(() => {
      child = withNamespace(namespace.number, "pid", () =>
        spawn("sleep", ["100"], { stdio: "ignore" }),
      );
    });
    // The kernel would delay the end of the init until this process has reaped the child, so the
    // child has to end first.
    child?.kill("SIGKILL");
    if (child !== undefined) await once(child, "exit");
    expect(found).toEqual(new Set([inode]));
  });

  it("finds processes of a nested namespace even if one of them ends meanwhile", async () => {
    using namespace = new Fd(openSync(`/proc/${pid}/ns/pid`, "r"));
    const command = ["--pid", "--fork", "sh", "-c", "sleep 100 & exec sleep 100"];
    const child = withNamespace(namespace.number, "pid", () =>
      spawn("unshare", command, { stdio: "ignore" }),
    );
    const parentOf = (each: number) =>
      /\d+/.exec(readProc(each, "status").split("PPid:")[1] ?? "")?.[0];
    let first = 0;
    const isNested = () => {
      first = [...listProcesses()].find((each) => parentOf(each) === String(child.pid)) ?? 0;
      const nested = [...listProcesses()].filter(
        (each) => tryReadPidNamespace(each) === tryReadPidNamespace(first),
      );
      return first > 0 && tryReadPidNamespace(first) !== ownInode && nested.length === 2;
    };
    await until(isNested, "both processes run");
    // After this, only the init and the processes of the nested namespace are left.
    child.kill("SIGKILL");
    await once(child, "exit");
    expect(scan()).toEqual(new Set([inode]));
    gone = `/proc/${first}/ns/pid`;
    expect(scan()).toEqual(new Set([inode]));
    expect(gone).toBeUndefined();
    process.kill(first, "SIGKILL");
  });
});
