import { readFileSync } from "node:fs";
import { missing } from "@cm4all/testing";
import { expect, it, onTestFinished } from "vitest";
import { TestDaemon } from "./support/daemon.ts";

/** Reads a number from a file of /proc. */
function read(path: string, line: RegExp): number {
  return Number(line.exec(readFileSync(path, "latin1"))?.[1]);
}

it.skipIf(missing("root", "catatonit") !== undefined)(
  "the daemon enlarges its table of descriptors at its start: no client has to wait for that later",
  async () => {
    const daemon = await TestDaemon.start();
    onTestFinished(() => daemon.stop());
    const proc = `/proc/${daemon.child.pid}`;
    const limit = read(`${proc}/limits`, /^Max open files +(\d+)/m);
    const most = Math.min(limit, 65_536);
    const size = read(`${proc}/status`, /^FDSize:\t(\d+)$/m);
    expect(size).toBeLessThanOrEqual(most);
    expect(size).toBeGreaterThan(most / 2);
  },
);
