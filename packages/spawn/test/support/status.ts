import { forEachKind } from "@cm4all/spawn-protocol";
import { ACCOUNTING_METRICS } from "../../src/accounting/terms/metrics.ts";
import { zeroCounts } from "../../src/metrics/declaration.ts";
import { NAMESPACE_METRICS } from "../../src/namespaces/metrics.ts";
import { REAPER_METRICS } from "../../src/reaper/metrics.ts";
import type { DaemonStatus } from "../../src/status/status.ts";

const NO_KINDS = forEachKind(() => 0);

/** Returns the status of a daemon that is well, with values that differ from each other. */
export function sampleStatus(): DaemonStatus {
  return {
    state: "well",
    problems: [],
    version: "1.2.3",
    pid: 42,
    uptimeSeconds: 5400,
    systemCalls: "addon",
    configuration: { file: "/etc/cm4all/spawn/spawn.toml", waitsForRestart: [] },
    isReaping: true,
    daemon: { loopActiveSeconds: 2.5, failedReloads: 1 },
    namespace: {
      ...zeroCounts(NAMESPACE_METRICS),
      names: 3,
      namesLimit: 10_000,
      leasedNames: 1,
      namesOfOneUid: 2,
      namesPerUidLimit: 9000,
      kept: { ...NO_KINDS, ipc: 2, pid: 1 },
      userNamespacesLimit: 10_000,
      openDescriptors: 3,
      connections: 4,
      admittedConnections: 3,
      connectionsLimit: 4096,
      connectionsOfOneUid: 2,
      connectionsPerUidLimit: 1024,
      requests: { answered: 4, failed: 8, malformed: 9, refused: 10 },
      requestDurationSeconds: { bounds: [1], counts: [4, 0], sum: 0.002 },
      requested: { ...NO_KINDS, ipc: 2, pid: 1, lease: 1 },
      endedNames: 5,
      sparedNames: 6,
      initDeaths: 7,
    },
    reaper: {
      ...zeroCounts(REAPER_METRICS),
      watchedCgroups: 12,
      waitingCgroups: 2,
      inotifyWatches: 26,
      unwatchedDirectories: 0,
      releasedCgroups: 100,
      deletedCgroups: 97,
      vanishedCgroups: 3,
      lostVanishedCgroups: 2,
      unseenCgroups: 4,
      repopulatedCgroups: 5,
      scopeCpuSeconds: { "/a.scope": 1.5, "/b.scope": 2 },
      scopeReadBytes: { "/a.scope": 2 ** 20 },
      scopeWrittenBytes: { "/a.scope": 2 ** 21 },
      scopeOomKills: { "/a.scope": 1 },
      scopeRefusedForks: { "/b.scope": 5 },
      scopeMemoryPeakBytes: { "/a.scope": { bounds: [1], counts: [0, 2], sum: 2 ** 22 } },
    },
    accounting: {
      ...zeroCounts(ACCOUNTING_METRICS),
      script: "ready",
      waitingCgroups: 2,
      oldestWaitingSeconds: 12,
      handlers: "succeeding",
      failingCgroups: 0,
      runningHandlers: 1,
      accountedCgroups: 90,
      failedHandlers: 4,
      retriedHandlers: 3,
      lostCgroups: 1,
      supersededReports: 11,
      handlerSeconds: 12,
      parkedCgroups: 0,
      begunCgroups: 1,
      journal: "ready",
      journalRecords: 9,
      unreadableRecords: 0,
      journalBytes: 2 ** 21,
      journalLimitBytes: 2 ** 30,
    },
    journal: { path: "/var/lib/cm4all-spawn" },
    script: { path: "/etc/cm4all/spawn/accounting.lua", isOutdated: false },
    metrics: { address: "[::1]:10469", isListening: true },
  };
}
