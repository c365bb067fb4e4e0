/** What is measured of the main thread. */
import type { Declarations, Values } from "../metrics/declaration.ts";

export const DAEMON_METRICS = {
  loopActiveSeconds: {
    kind: "counter",
    help: "How long the main thread has worked, and not waited for events.",
    unit: "seconds",
    row: "main thread",
    text: "busy for {}",
  },
  failedReloads: {
    kind: "counter",
    help: "How often the configuration could not be read again, and the old one stayed.",
    row: "main thread",
    text: "{} failed reloads",
  },
} as const satisfies Declarations;

export type DaemonMetrics = Values<typeof DAEMON_METRICS>;

/** Returns them. To be called on the main thread. */
export function measureDaemon(failedReloads: number): DaemonMetrics {
  return { loopActiveSeconds: performance.eventLoopUtilization().active / 1000, failedReloads };
}
