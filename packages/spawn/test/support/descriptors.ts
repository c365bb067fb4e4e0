/** Limits how many descriptors a daemon may open. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import type { TestDaemon } from "./daemon.ts";

/** Lets the daemon open exactly `free` more descriptors. */
export function limitDescriptors(daemon: TestDaemon, free: number): void {
  const used = new Set(readdirSync(`/proc/${daemon.pid}/fd`).map(Number));
  let limit = 0;
  for (let left = free; left > 0 || used.has(limit); limit++) if (!used.has(limit)) left--;
  setLimit(daemon, limit);
}

export function setLimit(daemon: TestDaemon, limit: number): void {
  execFileSync("prlimit", [`--pid=${daemon.pid}`, `--nofile=${limit}:`]);
}

export function currentLimit(daemon: TestDaemon): number {
  const text = readFileSync(`/proc/${daemon.pid}/limits`, "utf8");
  return Number(/^Max open files +(\d+)/m.exec(text)?.[1]);
}
