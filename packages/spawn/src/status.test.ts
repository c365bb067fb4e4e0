import { describe, expect, it } from "vitest";
import { formatCgroups, formatMetrics, formatStatus } from "./status.ts";

describe("formatStatus", () => {
  it("shows what the daemon has", () => {
    const lines = formatStatus({
      version: "1.2.3",
      pid: 42,
      uptimeSeconds: 5400,
      namespaces: {
        names: 3,
        ipcNamespaces: 2,
        pidNamespaces: 1,
        userNamespaces: 0,
        leasedNames: 1,
        connections: 4,
        openHandles: 3,
        expiredNames: 5,
        sparedNames: 6,
        initDeaths: 7,
        longestTurnMs: 1,
        requests: {
          answered: 4,
          answeredTotalMs: 2,
          byType: { ipc: 2, pid: 1, user: 0, lease: 1 },
          latencyCounts: [],
          failed: 8,
          malformed: 9,
          refused: 10,
        },
      },
    });
    expect(lines).toEqual([
      "daemon       cm4all-spawn 1.2.3, pid 42, up 1.5 h",
      "names        3, 1 of them leased",
      "namespaces   2 IPC, 1 PID, 0 user; 3 open",
      "connections  4",
      "requests     4 answered, 0.50 ms on average",
      "refused      8 by kernel or quota, 10 peers, 9 malformed",
      "expired      5 names; 6 times one was spared because it was busy",
      "inits        7 ended by themselves",
      "cgroups      not reaped",
    ]);
  });

  it.each([
    [{ address: "[::1]:9469", isListening: true }, "at [::1]:9469"],
    [
      { address: "[::1]:9469", isListening: false },
      "not reachable at [::1]:9469: not listening yet",
    ],
    [
      { address: "[::1]:9469", isListening: false, problem: "listen EADDRINUSE" },
      "not reachable at [::1]:9469: listen EADDRINUSE",
    ],
  ])("shows whether metrics can be reached: %j", (metrics, text) => {
    expect(formatMetrics(metrics)).toEqual([["metrics", text]]);
  });

  it("shows cgroups and their accounting", () => {
    const accounting = {
      state: "ready",
      waiting: 2,
      running: 1,
      accounted: 90,
      failed: 4,
      retried: 3,
      lost: 1,
      superseded: 0,
      handlerMs: 12,
    } as const;
    const reaper = {
      watched: 12,
      waiting: 2,
      inotifyWatches: 26,
      unwatched: 0,
      released: 100,
      deleted: 97,
      vanished: 1,
      repopulated: 5,
      rescans: 0,
      missed: 0,
      scopes: [],
      longestTurnMs: 1,
    };
    expect(formatCgroups({ reaper, accounting })).toEqual([
      ["cgroups", "12 watched, 2 ran empty and wait for their handler"],
      ["reaped", "100 measured, 97 deleted, 1 vanished, 5 ran again"],
      ["watching", "26 watches, 0 refused; 0 rescans, 0 missed"],
      ["accounting", "script is ready; 90 accounted, 2 waiting, 1 of them running"],
      ["failures", "4 handlers failed, 3 called again, 1 cgroups lost"],
    ]);
    expect(formatCgroups({ reaper: undefined, accounting })[0]).toEqual([
      "cgroups",
      "the reaper does not run",
    ]);
  });
});
