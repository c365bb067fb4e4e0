import { readFileSync } from "node:fs";
import { wrapRows } from "@cm4all/command";
import { NAMESPACE_KINDS } from "@cm4all/spawn-protocol";
import { describe, expect, it } from "vitest";
import { sampleStatus as status } from "../../test/support/status.ts";
import { metricName } from "../metrics/metric-name.ts";
import { Exposition } from "../prometheus/exposition.ts";
import { findProblems } from "./health.ts";
import {
  type DaemonStatus,
  forEachMetric,
  formatHeadline,
  PARTS,
  formatStatus as rowsOf,
} from "./status.ts";

const MANUALS = new URL("../../../../docs/man/", import.meta.url);

/** The kinds of namespaces that the sample does not have. */
const OTHERS = NAMESPACE_KINDS.slice(2)
  .map(({ kind }) => `0 ${kind}`)
  .join(", ");
const formatStatus = (each: DaemonStatus) => wrapRows(rowsOf(each), undefined);

describe("formatStatus", () => {
  it("shows the metrics of the daemon", () => {
    expect(formatStatus(status())).toEqual([
      "daemon          cm4all-spawn 1.2.3, pid 42, up 1.5 h",
      "accounting      script is ready, 2 waiting, the oldest for 12 s, 0 parked, 90 accounted, 11 superseded by a later report, 0 without a handler",
      "handlers        succeed, 1 running of at most 10, 1 begun, 0 cgroups fail, 4 failed, 3 called again, 1 lost, 12 s in all, 0 interim reports, 0 restarts of the script host",
      "journal         takes records, 9 records, 0 unreadable, 0 damaged files, 2.0 MiB of at most 1024.0 MiB",
      "script          /etc/cm4all/spawn/accounting.lua",
      "journal in      /var/lib/cm4all-spawn",
      "names           3 of at most 10000, 1 leased, 2 of the uid with the most, at most 9000 of one uid",
      `namespaces      2 ipc, 1 pid, ${OTHERS}, at most 10000 user, 3 open`,
      "connections     4, 3 admitted of at most 4096, 2 of the uid with the most, at most 1024 of one uid",
      "requests        4 answered, 8 failed, 9 malformed, 10 refused, 0.50 ms on average",
      `asked for       2 ipc, 1 pid, ${OTHERS}, 1 lease`,
      "ended           5 names, 6 times spared because of processes",
      "inits           7 ended by themselves",
      "service thread  0 s a turn, on average",
      "cgroups         2 scopes, 12 watched, 2 wait for the journal",
      "reaped          100 measured, 97 deleted, 3 vanished, 2 of them lost, 4 removed unseen, 5 ran again",
      "used            3.5 s of CPU time, 2.0 MiB of peak memory, on average, 1.0 MiB read, 2.0 MiB written",
      "at limits       1 process killed for lack of memory, 5 forks refused",
      "watching        26 watches, 0 refused, 0 rescans, 0 changes missed",
      "reaper thread   0 s a turn, on average",
      "system calls    through the addon",
      "main thread     busy for 2.5 s, 1 failed reload",
      "configuration   the same as in its file",
      "read from       /etc/cm4all/spawn/spawn.toml",
      "metrics         at [::1]:10469",
    ]);
  });

  it("shows that a journal may be lost, and why it takes no records", () => {
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

  it("shows what waits for a restart, and which handler has failed last", () => {
    const script = {
      path: "/x.lua",
      isOutdated: true,
      lastFailure: { cgroup: "/job", message: "no route", failedMs: 0 },
    };
    const configuration = { file: "/x.toml", waitsForRestart: ["reaper.enabled"] };
    const lines = formatStatus({ ...status(), script, configuration });
    for (const line of [
      "script          /x.lua (changed since it was loaded: a restart loads it)",
      "failed last     1970-01-01T00:00:00Z /job: no route",
      "read from       /x.toml; only a restart applies reaper.enabled",
    ])
      expect(lines).toContain(line);
  });

  it("has exactly the rows that the manual pages explain", () => {
    const page = (name: string) => readFileSync(new URL(name, MANUALS), "utf8");
    const rowsOfMetrics = [...page("cm4all-spawn-metrics.7").matchAll(/row \\\(lq(.*?)\\\(rq/g)];
    const [, listed = ""] = page("cm4all-spawn.8").split(/^\.SS The rows of status$/m);
    const [others = ""] = listed.split(/^\.S[HS] /m);
    const explained = [...rowsOfMetrics, ...others.matchAll(/^\.TP\n\.B (.*)$/gm)].map(
      ([, title]) => title,
    );
    const failed = { cgroup: "/job", message: "no route", failedMs: 0 };
    const shown = rowsOf({ ...status(), script: { isOutdated: false, lastFailure: failed } });
    expect(explained).toEqual(expect.arrayContaining(shown.map(([title]) => title)));
    expect(shown.map(([title]) => title)).toEqual(expect.arrayContaining(explained));
  });

  it("shows strings from scripts and users in printable lines, and does not change them in JSON", () => {
    const text = "evil\u001b[2J\r\n\u009b2Jgood\ufffd\u202e";
    const shown = "evil\\x1b[2J | \\x9b2Jgood\ufffd\\u{202e}";
    const well = { ...status(), configuration: { file: text, waitsForRestart: [] } };
    const evil: DaemonStatus = {
      ...well,
      script: {
        path: text,
        isOutdated: false,
        lastFailure: { cgroup: text, message: text, failedMs: 0 },
      },
      journal: { path: text, problem: text },
      metrics: { address: text, isListening: false, problem: text },
      state: "degraded",
      problems: findProblems({ ...well, journal: { path: "/", problem: text } }),
    };
    expect(formatHeadline(evil)).toBe(
      `degraded: the journal takes no records, so no cgroups are deleted: ${shown}`,
    );
    const rows = new Map(rowsOf(evil));
    expect(rows.get("script")).toBe(shown);
    expect(rows.get("failed last")).toBe(`1970-01-01T00:00:00Z ${shown}: ${shown}`);
    expect(rows.get("journal in")).toBe(`${shown}: ${shown}`);
    expect(rows.get("read from")).toBe(shown);
    expect(rows.get("metrics")).toBe(`not reachable at ${shown}: ${shown}`);
    expect(JSON.parse(JSON.stringify(evil)).script.lastFailure.message).toBe(text);
  });

  it("follows a headline that lists the problems", () => {
    expect(formatHeadline(status())).toBe("well");
    const problems = ["one is parked", "another is, too"];
    expect(formatHeadline({ ...status(), state: "degraded", problems })).toBe(
      "degraded: one is parked; another is, too",
    );
  });

  it("shows that cgroups are never reaped, or not at the moment", () => {
    const titles = (lines: string[]) => lines.filter((line) => line.startsWith("cgroups "));
    const { reaper: _, ...down } = status();
    expect(titles(formatStatus(down))).toEqual(["cgroups         the reaper is not running"]);
    const { accounting: __, ...off } = down;
    expect(titles(formatStatus(off))).toEqual(["cgroups         not reaped"]);
  });

  it.each([
    [{ isListening: false }, "not reachable at [::1]:10469: not listening yet"],
    [
      { isListening: false, problem: "listen EADDRINUSE" },
      "not reachable at [::1]:10469: listen EADDRINUSE",
    ],
  ])("shows why metrics cannot be reached: %j", (state, text) => {
    const lines = formatStatus({ ...status(), metrics: { address: "[::1]:10469", ...state } });
    expect(lines.at(-1)).toBe(`metrics         ${text}`);
  });
});

/** @see https://prometheus.io/docs/practices/naming/ for the naming rules */
describe("declarations", () => {
  const all: Parameters<Parameters<typeof forEachMetric>[0]>[] = [];
  forEachMetric((...each) => all.push(each));

  it.each(all)(
    "%s.%s has a key that ends in its unit, and a help text",
    (_part, key, declaration) => {
      expect(key).toMatch(/^[a-z][A-Za-z]*$/);
      expect(key).not.toMatch(/(Total|Count|Sum|Bucket|Ms|Usec|KiB|MiB)$/);
      expect(declaration.help).toMatch(/^[A-Z1].*\.$/);
      expect(declaration.text).toContain("{}");
      const unit = declaration.kind === "state" ? undefined : declaration.unit;
      const words = { seconds: "Seconds", bytes: "Bytes" };
      for (const each of ["seconds", "bytes"] as const)
        expect(key.toLowerCase().endsWith(words[each].toLowerCase())).toBe(unit === each);
    },
  );
});

describe("each declared metric", () => {
  it("is in the text, in the JSON and among the metrics for Prometheus", async () => {
    const text = formatStatus(status()).join("\n");
    const json = JSON.parse(JSON.stringify(status()));
    const page = (await new Exposition(async () => status()).render()).text;
    let count = 0;
    forEachMetric((part, key, declaration) => {
      count++;
      const { row, text: phrase, textOfOne = phrase } = declaration;
      const line = text.split("\n").find((each) => each.startsWith(`${row} `));
      const ends = [phrase, textOfOne].map((each) => each.replace(/.*\{\}/, ""));
      expect(
        ends.some((end) => line?.includes(end)),
        `the row of ${part}.${key}`,
      ).toBe(true);
      expect(json[part]).toHaveProperty(key);
      const name = metricName(part, key, declaration.kind);
      expect(page).toMatch(new RegExp(`^${name}(_bucket)?(\\{.*\\})? [\\d.e+-]+$`, "m"));
    });
    expect(count).toBe(Object.values(PARTS).flatMap((part) => Object.keys(part)).length);
  });
});
