import { spawnSync } from "node:child_process";
import { pidfdSendSignal } from "@cm4all/linux";
import { describe, expect, it } from "vitest";
import { monotonicMs } from "../../thread/event-loop.ts";
import { tryOpenByPid } from "./peer-process.ts";
import { hasCapability, parseRights } from "./permission.ts";

/** An excerpt of what the kernel writes. */
const STATUS = [
  "Name:\tbeng-proxy\tUid:\t7\t7\t7\t7",
  "State:\tS (sleeping)",
  "NSpid:\t4711",
  "Uid:\t33\t34\t35\t36",
  "Gid:\t1\t1\t1\t1",
  "Groups:\t1 2 3",
  "CapInh:\t0000000000200000",
  "CapPrm:\t0000000000200000",
  "CapEff:\t0000000000200000",
  "CapBnd:\t000001ffffffffff",
  "",
].join("\n");

describe("parseRights", () => {
  it("reads uids and the effective set", () => {
    expect(parseRights(STATUS)).toEqual({
      uids: [33, 34, 35, 36],
      effectiveCapabilities: 1n << 21n,
    });
  });

  it("keeps the upper half of the set", () => {
    const status = "Uid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\n";
    expect(parseRights(status).effectiveCapabilities).toBe((1n << 41n) - 1n);
  });

  it.each(["Uid:", "CapEff:"])("fails if there is no %s line", (key) => {
    expect(() => parseRights(STATUS.replace(`\n${key}`, "\nX:"))).toThrow("no Uid or CapEff");
  });
});

describe("hasCapability", () => {
  const all = (1n << 41n) - 1n;

  it("requires CAP_SYS_ADMIN", () => {
    const uids = [33, 33, 33, 33];
    expect(hasCapability({ uids, effectiveCapabilities: 1n << 21n }, 33)).toBe(true);
    expect(hasCapability({ uids, effectiveCapabilities: all & ~(1n << 21n) }, 33)).toBe(false);
    expect(hasCapability({ uids, effectiveCapabilities: 0n }, 33)).toBe(false);
  });

  it.each([[[0, 33, 33, 33]], [[33, 0, 0, 0]], [[33, 33, 0, 33]], [[33]], [[]]])(
    "refuses the uids %j",
    (uids) => {
      expect(hasCapability({ uids, effectiveCapabilities: all }, 33)).toBe(false);
    },
  );
});

describe("tryOpenByPid", () => {
  it("returns the process if it was there when its connection was accepted", () => {
    using pidfd = tryOpenByPid(process.pid, monotonicMs());
    if (pidfd === undefined) throw new Error("not found");
    expect(pidfdSendSignal(pidfd.number, 0)).toBe(true);
  });

  it("returns no process that started later, and none that is gone", () => {
    const startedMs = process.uptime() * 1000;
    expect(tryOpenByPid(process.pid, monotonicMs() - startedMs - 1000)).toBeUndefined();
    const { pid } = spawnSync("true");
    expect(tryOpenByPid(pid, monotonicMs())).toBeUndefined();
  });
});
