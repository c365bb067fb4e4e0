/** Measures the daemon's memory when it starts with many empty cgroups with large attributes. */
import { closeSync, openSync } from "node:fs";
import { setXattr } from "@cm4all/linux";
import { missing, readProc } from "@cm4all/testing";
import { afterEach, beforeEach, expect, it } from "vitest";
import { AccountingHost } from "./support/accounting.ts";
import { until } from "./support/daemon.ts";

const COUNT = 1200;
const TIMEOUT_MS = 180_000;

/** The number of attributes of each cgroup; together they take 112 KiB. */
const ATTRIBUTES = 28;
const VALUE = Buffer.alloc(4096, "v");

let host: AccountingHost;
beforeEach(() => {
  host = new AccountingHost();
});
afterEach(() => host.stop(), TIMEOUT_MS);

/** Returns the peak of the daemon's resident memory. */
function peakMiB(): number {
  const [, kib] = /^VmHWM:\s+(\d+) kB$/m.exec(readProc(host.daemon.pid, "status")) ?? [];
  return Number(kib) / 1024;
}

function leave(name: string): void {
  const fd = openSync(host.scratch.make(name), "r");
  try {
    for (let i = 0; i < ATTRIBUTES; i++) setXattr(fd, `user.attribute-${i}`, VALUE);
  } finally {
    closeSync(fd);
  }
}

it.skipIf(missing("root", "catatonit", "cgroup2") !== undefined)(
  "the daemon grows by less than 270 MiB if it finds many cgroups with large attributes at startup",
  async () => {
    host.writeHandler("say(#cgroup.xattr['user.attribute-27'])", "handlers_bear_repetition = true");
    await host.start();
    await host.untilReady();
    const before = peakMiB();
    await host.crash();
    for (let i = 0; i < COUNT; i++) leave(`a.scope/job-${i}`);
    await host.start();
    await until(
      async () => (await host.accounting()).accountedCgroups === COUNT,
      "all are accounted",
      TIMEOUT_MS / 2,
    );
    await until(async () => (await host.reaping()).reaper?.watchedCgroups === 0, "all are gone");
    const grownMiB = peakMiB() - before;
    console.log(`${before.toFixed(0)} MiB and ${grownMiB.toFixed(0)} MiB more at the peak`);
    expect(host.said).toBe("4096\n".repeat(COUNT));
    expect(grownMiB).toBeLessThan(270);
  },
  TIMEOUT_MS,
);
