import { describe, expect, it } from "vitest";
import { sampleStatus } from "../../test/support/status.ts";
import { findProblems } from "./health.ts";
import type { DaemonStatus } from "./status.ts";

type Changes = { readonly [Key in keyof DaemonStatus]?: Partial<DaemonStatus[Key]> };

/** Returns the sample with some fields of its parts changed. */
function changed(changes: Changes): DaemonStatus {
  const sample = sampleStatus();
  const parts = Object.entries(changes).map(([part, change]) => [
    part,
    typeof change === "object" ? { ...Reflect.get(sample, part), ...change } : change,
  ]);
  return { ...sample, ...Object.fromEntries(parts) };
}

describe("findProblems", () => {
  it("finds no problem if all is well", () => {
    expect(findProblems(sampleStatus())).toEqual([]);
  });

  const lastFailure = { cgroup: "/job", message: "no\n route", failedMs: 0 };
  it.each<[Changes, string]>([
    [
      { accounting: { parkedCgroups: 1 } },
      '1 cgroup is parked, see "cm4all-spawn accounting list"',
    ],
    [
      { accounting: { parkedCgroups: 2 } },
      '2 cgroups are parked, see "cm4all-spawn accounting list"',
    ],
    [
      { accounting: { script: "down" }, script: { problem: "x.lua:1: boom" } },
      "the accounting script is not running: x.lua:1: boom",
    ],
    [
      { accounting: { handlers: "failing" }, script: { lastFailure } },
      "no handler succeeds: no | route",
    ],
    [
      { accounting: { failingCgroups: 3 }, script: { lastFailure } },
      "the handlers of 3 cgroups fail: no | route",
    ],
    [
      { accounting: { script: "idle", waitingCgroups: 5 } },
      "5 cgroups are waiting, and there is no handler",
    ],
    [{ accounting: { unreadableRecords: 1 } }, "1 record cannot be read from the disk"],
    [{ accounting: { damagedFiles: 2 } }, "2 files are damaged in the journal, see the log"],
    [
      { accounting: { journalBytes: 95, journalLimitBytes: 100 } },
      "the journal is filled to 95 % of journal_mib",
    ],
    [
      { journal: { problem: "ENOSPC" } },
      "the journal takes no records, so no cgroups are deleted: ENOSPC",
    ],
    [
      { reaper: { unwatchedDirectories: 7 } },
      "the kernel refuses watches for 7 directories, see the log",
    ],
    [{ namespace: { names: 9000 } }, "9000 names of at most 10000, see max_names"],
    [
      { namespace: { namesOfOneUid: 8100 } },
      "8100 names of one uid of at most 9000, see max_names_per_uid",
    ],
    [
      { namespace: { admittedConnections: 4096 } },
      "4096 connections of at most 4096, see max_connections",
    ],
    [
      { namespace: { connectionsOfOneUid: 1000 } },
      "1000 connections of one uid of at most 1024, see max_connections_per_uid",
    ],
    ...(["refused", "changed"] as const).map((state): [Changes, string] => [
      { daemon: { configuration: state }, configuration: { problem: "spawn.toml:3: bad" } },
      "the configuration in force is an older one: spawn.toml:3: bad",
    ]),
    [
      { daemon: { configuration: "changed" } },
      'the configuration in force is an older one: /etc/cm4all/spawn/spawn.toml was changed, see "cm4all-spawn reload"',
    ],
    [
      { metrics: { isListening: false, problem: "EADDRINUSE" } },
      "metrics are not reachable: EADDRINUSE",
    ],
  ])("%j", (changes, problem) => {
    expect(findProblems(changed(changes))).toEqual([problem]);
  });

  it("distinguishes a reaper that is not running from a reaper that is disabled", () => {
    const sample = sampleStatus();
    expect(findProblems({ ...sample, reaper: undefined })).toEqual([
      "cgroups are not watched: the reaper's thread is not running",
    ]);
    const none = { ...sample, reaper: undefined, accounting: undefined, journal: undefined };
    expect(findProblems(none)).toEqual(["no cgroups are reaped: cgroup2 is not mounted"]);
    expect(findProblems({ ...none, isReaping: false })).toEqual([]);
  });

  it("finds no problem in a key that waits for a restart", () => {
    expect(findProblems(changed({ daemon: { configuration: "restart" } }))).toEqual([]);
  });

  it("finds no problem if the daemon is not listening for metrics yet", () => {
    expect(findProblems(changed({ metrics: { isListening: false } }))).toEqual([]);
  });
});
