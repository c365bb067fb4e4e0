/** Tests that an idle daemon returns to the kernel the memory that only its start needed. */
import { readFileSync } from "node:fs";
import { missing } from "@cm4all/testing";
import { describe, expect, it } from "vitest";
import { TestDaemon, until } from "./support/daemon.ts";

/** @see proc_pid_smaps(5) */
function anonymousKiB(pid: number): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  return Number(/^Anonymous: +(\d+) kB/m.exec(text)?.[1]);
}

describe.skipIf(missing("root") !== undefined)("the memory of a daemon at rest", () => {
  it("falls by more than a tenth", async () => {
    const daemon = await TestDaemon.start();
    try {
      let mostKiB = 0;
      await until(() => {
        const nowKiB = anonymousKiB(daemon.pid);
        mostKiB = Math.max(mostKiB, nowKiB);
        return nowKiB < 0.9 * mostKiB;
      }, "memory was freed");
      expect(daemon.child.exitCode).toBeNull();
      expect(anonymousKiB(daemon.pid)).toBeLessThan(0.95 * mostKiB);
    } finally {
      await daemon.stop();
    }
  });
});
