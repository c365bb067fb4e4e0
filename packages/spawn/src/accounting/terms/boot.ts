/** This boot, and a clock that goes by it. */
import { readFileSync } from "node:fs";
import { uptime } from "node:os";

/** @see random(4) */
export function readBootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
}

/** Returns whether a cgroup of that id belongs to the boot. @param id see CgroupMeasurement */
export function isOfBoot(id: string, bootId: string): boolean {
  return id.startsWith(`${bootId}:`);
}

/**
 * Returns the time since the boot in milliseconds: it goes on while the host is
 * suspended, and no step of the wall clock changes it. @see CLOCK_BOOTTIME in clock_gettime(2)
 */
export function bootTimeMs(): number {
  const nowMs = performance.now();
  if (nowMs - lookedUpMs >= LOOKED_UP_MS) {
    aheadMs = uptime() * 1000 - nowMs;
    lookedUpMs = nowMs;
  }
  return nowMs + aheadMs;
}

/** `uptime` reads a file, so that the clock which stands still meanwhile serves for so long. */
const LOOKED_UP_MS = 1000;
let lookedUpMs = Number.NEGATIVE_INFINITY;
let aheadMs = 0;
