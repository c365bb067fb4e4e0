/** What is measured of the main thread. */
import type { ConfigurationState } from "../config-file.ts";
import type { Declarations, Values } from "../metrics/declaration.ts";

export const DAEMON_METRICS = {
  loopActiveSeconds: {
    kind: "counter",
    help: "Time that the main thread has worked, without the time that it waited for events.",
    unit: "seconds",
    row: "main thread",
    text: "busy for {}",
  },
  failedReloads: {
    kind: "counter",
    help: "Number of reloads that failed, so that the old configuration stayed.",
    row: "main thread",
    text: "{} failed reloads",
  },
  configuration: {
    kind: "state",
    help: "Whether the configuration in force is that of its file. If not, the file was changed since, the latest reload was refused, or a part waits for a restart.",
    row: "configuration",
    text: "{}",
    states: {
      current: "as its file has it",
      changed: "an older one: its file was changed",
      refused: "an older one: the latest reload has failed",
      restart: "in part an older one, until a restart",
    },
  },
} as const satisfies Declarations;

export type DaemonMetrics = Values<typeof DAEMON_METRICS>;

/** Returns them. To be called on the main thread. */
export function measureDaemon(
  failedReloads: number,
  configuration: ConfigurationState,
): DaemonMetrics {
  const loopActiveSeconds = performance.eventLoopUtilization().active / 1000;
  return { loopActiveSeconds, failedReloads, configuration };
}
