/** The status of a daemon that has just started. */
import { zeroCounts } from "../../src/metrics/declaration.ts";
import { NAMESPACE_METRICS } from "../../src/namespaces/metrics.ts";
import type { DaemonStatus } from "../../src/status.ts";

export function sampleStatus(more: Partial<DaemonStatus> = {}): DaemonStatus {
  return {
    version: "1.2.3",
    pid: 42,
    uptimeSeconds: 1,
    systemCalls: "addon",
    daemon: { loopActiveSeconds: 0 },
    namespace: {
      ...zeroCounts(NAMESPACE_METRICS),
      names: 0,
      leasedNames: 0,
      namesOfOneUid: 0,
      namesPerUidLimit: 9000,
      kept: { ipc: 0, pid: 0, user: 0 },
      openDescriptors: 0,
      connections: 0,
    },
    ...more,
  };
}
