/** The metrics of the main thread. */
import type { ConfigurationState } from "../config-file.ts";
import type { Declarations, Values } from "../metrics/declaration.ts";

export const DAEMON_METRICS = {
  loopActiveSeconds: {
    kind: "counter",
    help: "Time during which the main thread worked instead of waiting for events.",
    unit: "seconds",
    row: "main thread",
    text: "busy for {}",
  },
  failedReloads: {
    kind: "counter",
    help: "Reloads that failed, so that the old configuration stayed in force.",
    row: "main thread",
    text: "{} failed reloads",
    textOfOne: "{} failed reload",
  },
  configuration: {
    kind: "state",
    help: "Whether the configuration in force is that of the file; it is older if the file was changed and not reloaded, if the latest reload failed, or if some changes wait for a restart.",
    row: "configuration",
    text: "{}",
    states: {
      current: "the same as in its file",
      changed: "an older one: its file was changed",
      refused: "an older one: the latest reload has failed",
      restart: "in part an older one, until a restart",
    },
  },
} as const satisfies Declarations;

export type DaemonMetrics = Values<typeof DAEMON_METRICS>;

/** Returns the metrics. Call it on the main thread. */
export function measureDaemon(
  failedReloads: number,
  configuration: ConfigurationState,
): DaemonMetrics {
  const loopActiveSeconds = performance.eventLoopUtilization().active / 1000;
  return { loopActiveSeconds, failedReloads, configuration };
}
