import { readFileSync } from "node:fs";
import { expect, it, vi } from "vitest";
import { residentBytes } from "./host-process.ts";

vi.mock("node:fs", { spy: true });

it("finds how much memory a process uses, whatever the size of the kernel's pages", () => {
  const here = residentBytes(process.pid) ?? 0;
  expect(Math.abs(here / process.memoryUsage.rss() - 1)).toBeLessThan(0.5);
  // A process on a kernel with pages of 64 KiB, and a zombie.
  const files: Readonly<Record<string, string>> = {
    "/proc/7/statm": "3000 1000 500 10 0 900 0\n",
    "/proc/7/status": "Name:\tnode\nVmHWM:\t   70400 kB\nVmRSS:\t   64000 kB\nThreads:\t7\n",
    "/proc/8/status": "Name:\tnode\nState:\tZ (zombie)\nThreads:\t1\n",
  };
  vi.mocked(readFileSync).mockImplementation((path) => files[String(path)] ?? "");
  expect([residentBytes(7), residentBytes(8)]).toEqual([64_000 * 1024, undefined]);
});
