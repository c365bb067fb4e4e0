import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { openSync } from "node:fs";
import { Fd, openOwnNamespace, ownNamespaceInode, withNamespace } from "@cm4all/linux";
import { missing } from "@cm4all/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { endChild, InitStarter } from "../src/namespaces/names/init.ts";
import { scanProcesses, tryReadPidNamespace } from "../src/namespaces/names/process-scan.ts";

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

  /** Scans the processes, and calls `meanwhile` when the first have been listed. */
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
  // process starts.
  it("finds a process that started during the scan", async () => {
    using namespace = new Fd(openSync(`/proc/${pid}/ns/pid`, "r"));
    let child: ChildProcess | undefined;
    const found = scan(() => {
      child = withNamespace(namespace.number, "pid", () =>
        spawn("sleep", ["100"], { stdio: "ignore" }),
      );
    });
    // The init would wait for the child, so the child has to end first.
    child?.kill("SIGKILL");
    if (child !== undefined) await once(child, "exit");
    expect(found).toEqual(new Set([inode]));
  });
});
