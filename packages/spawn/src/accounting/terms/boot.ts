/** The boot in which a cgroup was created, and a clock that starts at the boot. */
import { uptime } from "node:os";

/** Returns whether a cgroup was created in this boot. @param id its id, see CgroupMeasurement */
export function isOfBoot(id: string, bootId: string): boolean {
  return id.startsWith(`${bootId}:`);
}

/**
 * Returns the time since the boot in milliseconds. It includes the time during which the machine
 * was suspended, and steps of the wall clock do not change it.
 * @see CLOCK_BOOTTIME in clock_gettime(2)
 */
export function bootTimeMs(): number {
  const nowMs = performance.now();
  if (nowMs - lookedUpMs >= LOOKED_UP_MS) {
    aheadMs = uptime() * 1000 - nowMs;
    lookedUpMs = nowMs;
  }
  return nowMs + aheadMs;
}

/**
 * How long the offset between `uptime` and `performance.now` is used before it is determined again:
 * `uptime` reads a file; `performance.now` costs little, but stands still while the machine is
 * suspended.
 */
const LOOKED_UP_MS = 1000;
let lookedUpMs = Number.NEGATIVE_INFINITY;
let aheadMs = 0;
