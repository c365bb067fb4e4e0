import { readFileSync } from "node:fs";

/**
 * Returns the id of this boot of the kernel; each boot has a different id.
 * @throws Node's system errors
 * @see random(4)
 */
export function readBootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
}
