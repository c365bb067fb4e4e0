import { describe, expect, it } from "vitest";
import { formatStatus } from "./status.ts";

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
    ]);
  });
});
