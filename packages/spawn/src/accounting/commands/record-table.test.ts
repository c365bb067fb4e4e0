import { bytesOfLatin1, bytesOfText } from "@cm4all/linux";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { FoundRecord, RecordSummary } from "../terms/records.ts";
import { formatCounts, formatLine, formatRecord, formatTime, RecordTable } from "./record-table.ts";

const ID = "9ae1f4de-1d4c-4d57-9d3b-8b0c4f1a2b3c-1234";
const MEASURED_MS = Date.UTC(2026, 10, 25, 13, 3, 12, 345);

function summary(number: number, more: Partial<RecordSummary> = {}): RecordSummary {
  const path = bytesOfText(`/a.scope/job${number}`);
  return {
    number,
    state: "waiting",
    id: ID,
    report: 1,
    path,
    measuredMs: MEASURED_MS,
    ...more,
  };
}

function found(more: Partial<RecordSummary> = {}): FoundRecord {
  const snapshot = {
    path: bytesOfText("/a.scope/jöb"),
    id: ID,
    report: 2,
    measuredMs: MEASURED_MS,
    birthMs: MEASURED_MS - 10_000,
    cpuTotalUsec: 1_500_000,
    pidsPeak: 3,
  };
  const xattrs = [
    [[bytesOfText("user.account"), bytesOfLatin1("\u0007x\xff")]] as const,
    [],
    [[bytesOfText("user.customer"), bytesOfText("12")]] as const,
  ];
  return {
    summary: summary(7, { state: "parked", ...snapshot, ...more }),
    record: { snapshot, xattrs },
  };
}

let zone: string | undefined;
beforeEach(() => {
  zone = process.env["TZ"];
  process.env["TZ"] = "Europe/Berlin";
});
afterEach(() => {
  if (zone === undefined) delete process.env["TZ"];
  else process.env["TZ"] = zone;
});

describe("the list", () => {
  it("shows its column titles only once, and its columns never become narrower", () => {
    const table = new RecordTable();
    const wide = summary(33554432, { state: "parked", reason: "no answer" });
    expect(table.lines([wide])).toEqual([
      "NUMBER    STATE   SINCE                      PATH                  REASON",
      "33554432  parked  2026-11-25T14:03:12+01:00  /a.scope/job33554432  no answer",
    ]);
    expect(table.lines([summary(5)])).toEqual([
      "5         waiting  2026-11-25T14:03:12+01:00  /a.scope/job5",
    ]);
  });

  it("shows no control character of a path or a reason", () => {
    const path = bytesOfLatin1("/a\u001b[2J\n\xff");
    const [, line] = new RecordTable().lines([summary(5, { path, reason: "a\nb\u009b" })]);
    expect(line).toContain("/a\\x1b[2J\\n\ufffd  a\\nb\\x9b");
  });

  it("shows records that cannot be read", () => {
    const [, line] = new RecordTable().lines([{ number: 5, state: "waiting", reason: "damaged" }]);
    expect(line).toMatch(/^5 +waiting +- +- +damaged$/);
  });

  it("counts the records in each state", () => {
    expect(
      formatCounts(
        new Map([
          ["waiting", 1],
          ["parked", 2],
        ]),
      ),
    ).toBe("1 waits, 2 are parked");
  });
});

it("times are local, with their offset from UTC", () => {
  expect(formatTime(Date.UTC(2026, 6, 1, 22, 0, 0))).toBe("2026-07-02T00:00:00+02:00");
  process.env["TZ"] = "America/St_Johns";
  expect(formatTime(Date.UTC(2026, 11, 1, 0, 0, 0))).toBe("2026-11-30T20:30:00-03:30");
  expect(formatTime(undefined)).toBe("-");
});

describe("a record", () => {
  it("is shown with its state, figures as scripts see them, and attributes of the cgroup and of the cgroups above it", () => {
    const lines = formatRecord(found({ reason: "the database did not answer", attempts: 3 }));
    const rows = lines.map((line) => line.split(/ {2,}/));
    expect(rows).toEqual([
      ["record", "7"],
      ["state", "parked"],
      ["reason", "the database did not answer"],
      ["attempts", "3"],
      ["since", "2026-11-25T14:03:12+01:00"],
      ["path", "/a.scope/jöb"],
      ["id", ID],
      ["report", "2"],
      ["btime", String(Math.floor(MEASURED_MS / 1000) - 10)],
      ["age", "10"],
      ["measured", String(MEASURED_MS / 1000)],
      ["cpu_total", "1.5"],
      ["pids_peak", "3"],
      ['xattr["user.account"]', "\\x07x\ufffd"],
      ['parent.parent.xattr["user.customer"]', "12"],
    ]);
  });

  it("that cannot be read is shown with its state and the reason", () => {
    const unreadable = { number: 7, state: "parked", reason: "it cannot be read" } as const;
    expect(formatRecord({ summary: unreadable, record: undefined })).toEqual([
      "record  7",
      "state   parked",
      "reason  it cannot be read",
    ]);
  });

  it("is shown in one line with its figures", () => {
    expect(formatLine(found())).toBe(
      "record 7, parked, /a.scope/jöb: since=2026-11-25T13:03:02Z cpu=1.5s[15%] procs=3",
    );
    const unreadable = { number: 7, state: "parked" } as const;
    expect(formatLine({ summary: unreadable, record: undefined })).toBe("record 7, parked, -");
  });
});
