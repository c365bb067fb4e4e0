import { describe, expect, it } from "vitest";
import type { ReportData } from "./database.ts";
import { formatReport } from "./html.ts";

const usage = {
  cpuSeconds: 10,
  ioBytes: 0,
  memoryPeakBytes: undefined,
  pidsPeak: undefined,
  oomKills: 0,
  refusedForks: 0,
};
const data: ReportData = {
  customers: [{ customer: "a", ...usage }],
  others: undefined,
  days: [{ day: "2026-01-02", ...usage }],
  incidents: [],
  allIncidents: 0,
  unbilledDays: [],
};
const options = { from: "2026-01-01", to: "2026-01-03", top: 1000, database: "d" };
const format = (more: Partial<ReportData> = {}, customer?: string) =>
  formatReport({ ...options, customer }, { ...data, ...more }, new Date(0));

describe("formatReport", () => {
  it("escapes names", () => {
    const name = "<script>\"'&";
    const html = format({ customers: [{ customer: name, ...usage }] }, name);
    expect(html).not.toContain("<script");
    expect(html).toContain('<th scope="row">&#60;script&#62;&#34;&#39;&#38;</th>');
  });

  it("has a row for each day, even for days without data", () => {
    expect(format().match(/<th scope="row">2026-01-0\d<\/th>/g)).toHaveLength(3);
  });

  it("has rows only for days with data if the range is long", () => {
    const html = formatReport({ ...options, to: "9999-12-31" }, data, new Date(0));
    expect(html.match(/<th scope="row">\d{4}-\d\d-\d\d<\/th>/g)).toHaveLength(1);
  });

  it("has a row for each customer, even for as many as --top allows", () => {
    const customers = Array.from({ length: 100_000 }, (_, n) => ({ customer: `${n}`, ...usage }));
    expect(format({ customers }).split("<tr>").length).toBeGreaterThan(100_000);
  });

  it("has one row for the other customers, without a bar, and includes them in the sum", () => {
    const html = format({ others: { ...usage, customers: 599_999, cpuSeconds: 50 } });
    expect(html).toMatch(/<th scope="row">599,999 others<\/th><td>50 s<\/td>/);
    expect(html).toMatch(/<th scope="row">All<\/th><td>0:01:00<\/td>/);
    expect(html).toMatch(/10 s<svg.*?width="100.00"/);
    expect(format()).not.toContain("others");
  });

  it("states how many of all incidents are listed", () => {
    const incident = { customer: "a", day: "2026-01-02", ...usage, oomKills: 1 };
    expect(format({ incidents: [incident], allIncidents: 7 })).toContain("first: 1 of 7</caption>");
    expect(format({ incidents: [incident], allIncidents: 1 })).toContain("first</caption>");
  });

  it("has bars in proportion to the greatest figure, and none if all are 0", () => {
    const customers = [1, 4].map((n) => ({ ...usage, customer: `${n}`, cpuSeconds: n }));
    const html = format({ customers });
    expect(html).toMatch(/1 s<svg.*?width="25.00".*?<td>0 bytes<\/td>/s);
  });

  it("states that nothing was used, or which bills will change", () => {
    expect(format({ customers: [] })).toContain("Nothing was used");
    expect(format({ unbilledDays: ["2026-01-02"] })).toMatch(
      /no bill yet: the figures of 2026-01-02/,
    );
    expect(format()).not.toContain("no bill yet");
  });

  it("states what the sum does not include", () => {
    expect(format()).toContain("Usage without a customer is left out.");
    expect(format({}, "a")).not.toContain("left out");
  });

  it("refers to no other file", () => {
    expect(format()).not.toMatch(/\s(src|href)=|url\(|@import|https?:/);
  });
});
