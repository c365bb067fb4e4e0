import { describe, expect, it } from "vitest";
import { ACCOUNTING_METRICS } from "./accounting/terms/metrics.ts";
import { zeroCounts } from "./metrics/declaration.ts";
import { metricName } from "./metrics/metric-name.ts";
import { NAMESPACE_METRICS } from "./namespaces/metrics.ts";
import { Exposition } from "./prometheus/exposition.ts";
import { REAPER_METRICS } from "./reaper/metrics.ts";
import { type DaemonStatus, forEachMetric, formatStatus, PARTS } from "./status.ts";

function status(): DaemonStatus {
  return {
    version: "1.2.3",
    pid: 42,
    uptimeSeconds: 5400,
    systemCalls: "addon",
    daemon: { loopActiveSeconds: 2.5 },
    namespace: {
      ...zeroCounts(NAMESPACE_METRICS),
      names: 3,
      leasedNames: 1,
      namesOfOneUid: 2,
      namesPerUidLimit: 9000,
      kept: { ipc: 2, pid: 1, user: 0 },
      openDescriptors: 3,
      connections: 4,
      requests: { answered: 4, failed: 8, malformed: 9, refused: 10 },
      requestDurationSeconds: { bounds: [1], counts: [4, 0], sum: 0.002 },
      requested: { ipc: 2, pid: 1, user: 0, lease: 1 },
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
      scopeMemoryPeakBytes: { "/a.scope": { bounds: [1], counts: [0, 2], sum: 2 ** 22 } },
    },
    accounting: {
      ...zeroCounts(ACCOUNTING_METRICS),
      script: "ready",
      waitingCgroups: 2,
      runningHandlers: 1,
      accountedCgroups: 90,
      failedHandlers: 4,
      retriedHandlers: 3,
      lostCgroups: 1,
      supersededReports: 11,
      handlerSeconds: 12,
      parkedCgroups: 6,
      begunCgroups: 1,
      journal: "ready",
      journalRecords: 9,
      unreadableRecords: 1,
      journalBytes: 2 ** 21,
      journalLimitBytes: 2 ** 30,
    },
    journal: { path: "/var/lib/cm4all-spawn" },
    metrics: { address: "[::1]:9469", isListening: true },
  };
}

describe("formatStatus", () => {
  it("shows what the daemon has", () => {
    expect(formatStatus(status())).toEqual([
      "daemon          cm4all-spawn 1.2.3, pid 42, up 1.5 h",
      "system calls    through the addon",
      "main thread     busy for 2.5 s",
      "names           3, 1 leased, 2 of the uid with most, at most 9000 of one uid",
      "namespaces      2 ipc, 1 pid, 0 user, 3 open",
      "connections     4",
      "requests        4 answered, 8 failed, 9 malformed, 10 refused, 0.50 ms on average",
      "asked for       2 ipc, 1 pid, 0 user, 1 lease",
      "ended           5 names, 6 times spared because processes ran",
      "inits           7 ended by themselves",
      "service thread  0 s a turn, on average",
      "cgroups         12 watched, 2 wait for the journal",
      "reaped          100 measured, 97 deleted, 3 vanished, 2 of them lost, 4 gone unseen, 5 ran again",
      "used            3.5 s of CPU time, 2.0 MiB of memory at most, on average",
      "watching        26 watches, 0 refused, 0 rescans, 0 changes missed",
      "reaper thread   0 s a turn, on average",
      "accounting      script is ready, 2 waiting, 6 parked, 90 accounted, 11 superseded by a later report, 0 without a handler",
      "handlers        1 running, 1 begun, 4 failed, 3 called again, 1 cgroups lost, 12 s in all, 0 interim reports",
      "journal         takes records, 9 records, 1 unreadable, 2.0 MiB, of at most 1024.0 MiB",
      "journal in      /var/lib/cm4all-spawn",
      "metrics         at [::1]:9469",
    ]);
  });

  it("says of a journal that it may be lost, and why it takes nothing", () => {
    const place = (journal: DaemonStatus["journal"]) =>
      formatStatus({ ...status(), journal }).find((line) => line.startsWith("journal in "));
    const path = "/var/lib/cm4all-spawn";
    expect(place({ path, forgetful: "tmpfs" })).toBe(
      "journal in      /var/lib/cm4all-spawn (tmpfs: may be lost at a restart)",
    );
    expect(place({ path, forgetful: "overlay", problem: "ENOSPC" })).toBe(
      "journal in      /var/lib/cm4all-spawn (overlay: may be lost at a restart): ENOSPC",
    );
  });

  it("says that no cgroups are reaped, or not at this moment", () => {
    const titles = (lines: string[]) => lines.filter((line) => line.startsWith("cgroups "));
    const { reaper: _, ...down } = status();
    expect(titles(formatStatus(down))).toEqual(["cgroups         the reaper does not run"]);
    const { accounting: __, ...off } = down;
    expect(titles(formatStatus(off))).toEqual(["cgroups         not reaped"]);
  });

  it.each([
    [{ isListening: false }, "not reachable at [::1]:9469: not listening yet"],
    [
      { isListening: false, problem: "listen EADDRINUSE" },
      "not reachable at [::1]:9469: listen EADDRINUSE",
    ],
  ])("shows why metrics cannot be reached: %j", (state, text) => {
    const lines = formatStatus({ ...status(), metrics: { address: "[::1]:9469", ...state } });
    expect(lines.at(-1)).toBe(`metrics         ${text}`);
  });
});

/** Names by the rules of https://prometheus.io/docs/practices/naming/. */
describe("declarations", () => {
  const all: Parameters<Parameters<typeof forEachMetric>[0]>[] = [];
  forEachMetric((...each) => all.push(each));

  it.each(all)("%s.%s is named by its unit and has a help text", (_part, key, declaration) => {
    expect(key).toMatch(/^[a-z][A-Za-z]*$/);
    expect(key).not.toMatch(/(Total|Count|Sum|Bucket|Ms|Usec|KiB|MiB)$/);
    expect(declaration.help).toMatch(/^[A-Z1].*\.$/);
    expect(declaration.text).toContain("{}");
    const unit = declaration.kind === "state" ? undefined : declaration.unit;
    const words = { seconds: "Seconds", bytes: "Bytes" };
    for (const each of ["seconds", "bytes"] as const)
      expect(key.toLowerCase().endsWith(words[each].toLowerCase())).toBe(unit === each);
  });
});

describe("each metric that is declared", () => {
  it("is in the text, in the JSON and in the metrics", async () => {
    const text = formatStatus(status()).join("\n");
    const json = JSON.parse(JSON.stringify(status()));
    const page = (await new Exposition(async () => status()).render()).text;
    let count = 0;
    forEachMetric((part, key, declaration) => {
      count++;
      const { row, text: phrase } = declaration;
      const line = text.split("\n").find((each) => each.startsWith(`${row} `));
      expect(line, `the row of ${part}.${key}`).toContain(phrase.replace(/.*\{\}/, ""));
      expect(json[part]).toHaveProperty(key);
      const name = metricName(part, key, declaration.kind);
      expect(page).toMatch(new RegExp(`^${name}(_bucket)?(\\{.*\\})? [\\d.e+-]+$`, "m"));
    });
    expect(count).toBe(Object.values(PARTS).flatMap((part) => Object.keys(part)).length);
  });
});
