/**
 * Formats a report as one HTML file that has no scripts and loads no other files. Each bar only
 * repeats the number above it, so that a reader who cannot see the bars misses nothing. Pure.
 */
import type { DayUsage, OthersUsage, ReportData, Usage } from "./database.ts";
import { formatBytes, formatCount, formatCpu } from "./figures.ts";
import { countDays, daysBetween, REPORT_END, type ReportOptions } from "./options.ts";
import { STYLE } from "./style.ts";

/** The browser loads and runs nothing, whatever the names of customers contain. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'";

/** Returns the text of a report. @param made the time at which the report was made */
export function formatReport(options: ReportOptions, data: ReportData, made: Date): string {
  const { from, to, customer } = options;
  const title = customer === undefined ? "Usage by customer" : `Usage of ${customer}`;
  const leftOut = customer === undefined ? " Usage without a customer is left out." : "";
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(`${title}, ${from} to ${to}`)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${escapeHtml(title)}</h1>
<p>${from} to ${to}, days in UTC. Made ${made.toISOString().slice(0, 16).replace("T", " ")} UTC.
Each peak is that of a single cgroup in its whole life.${leftOut}</p>
${formatUnbilled(data.unbilledDays)}
${data.customers.length === 0 ? "<p>Nothing was used in this time.</p>" : formatTables(options, data)}
</main>
</body>
${REPORT_END}`;
}

function formatUnbilled(days: readonly string[]): string {
  if (days.length === 0) return "";
  return `<p class="note">Some reports from hosts are on no bill yet: the figures of ${days.join(", ")}
will change.</p>`;
}

function formatTables(options: ReportOptions, data: ReportData): string {
  return [
    section("Customers", "Those with the most CPU time first", "Customer", {
      rows: data.customers.map((usage) => [usage.customer, usage]),
      others: data.others,
      total: sumOf([...data.customers, data.others ?? NOTHING]),
    }),
    section("Days", "What was used on each day", "Day", {
      rows: completeDays(options, data.days).map((usage) => [usage.day, usage]),
    }),
    formatIncidents(data),
  ].join("\n");
}

/** In a range of more days than this, days without data have no row. */
const MOST_COMPLETE_DAYS = 1000;

/** Adds a row of zeros for each day without data. */
function completeDays({ from, to }: ReportOptions, days: readonly DayUsage[]): readonly DayUsage[] {
  if (countDays(from, to) > MOST_COMPLETE_DAYS) return days;
  const known = new Map(days.map((usage) => [usage.day, usage]));
  return daysBetween(from, to).map((day) => known.get(day) ?? { day, ...NOTHING });
}

const NOTHING: Usage = {
  cpuSeconds: 0,
  ioBytes: 0,
  memoryPeakBytes: undefined,
  pidsPeak: undefined,
  oomKills: 0,
  refusedForks: 0,
};

function sumOf(all: readonly Usage[]): Usage {
  return all.reduce<Usage>(
    (sum, usage) => ({
      cpuSeconds: sum.cpuSeconds + usage.cpuSeconds,
      ioBytes: sum.ioBytes + usage.ioBytes,
      memoryPeakBytes: greater(sum.memoryPeakBytes, usage.memoryPeakBytes),
      pidsPeak: greater(sum.pidsPeak, usage.pidsPeak),
      oomKills: sum.oomKills + usage.oomKills,
      refusedForks: sum.refusedForks + usage.refusedForks,
    }),
    NOTHING,
  );
}

function greater(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Math.max(a, b);
}

interface Table {
  readonly rows: readonly (readonly [title: string, usage: Usage])[];
  /** The customers without a row of their own. */
  readonly others?: OthersUsage | undefined;
  readonly total?: Usage;
}

function section(
  title: string,
  caption: string,
  first: string,
  { rows, others, total }: Table,
): string {
  const longest = (figure: (usage: Usage) => number) =>
    rows.reduce((most, [, usage]) => Math.max(most, figure(usage)), 0);
  const most = {
    cpu: longest(({ cpuSeconds }) => cpuSeconds),
    io: longest(({ ioBytes }) => ioBytes),
    memory: longest(({ memoryPeakBytes = 0 }) => memoryPeakBytes),
  };
  const body = rows.map(
    ([name, usage]) =>
      `<tr><th scope="row">${escapeHtml(name)}</th>${[
        bar(formatCpu(usage.cpuSeconds), usage.cpuSeconds, most.cpu),
        bar(formatBytes(usage.memoryPeakBytes), usage.memoryPeakBytes, most.memory),
        bar(formatBytes(usage.ioBytes), usage.ioBytes, most.io),
        ...counts(usage),
      ].join("")}</tr>`,
  );
  return `<section>
<h2>${title}</h2>
<div class="scroll" tabindex="0" role="region" aria-label="${title}">
<table>
<caption>${caption}</caption>
<thead><tr>${[
    first,
    "CPU time (h:m:s)",
    "Most memory",
    "Read and written",
    "Most processes",
    "Killed for lack of memory",
    "Processes refused",
  ]
    .map((text) => `<th scope="col">${text}</th>`)
    .join("")}</tr></thead>
<tbody>
${body.join("\n")}
</tbody>
${total === undefined ? "" : `<tfoot>${others === undefined ? "" : formatSum(`${formatCount(others.customers)} others`, others)}${formatSum("All", total)}</tfoot>`}
</table>
</div>
</section>`;
}

/** Returns a row of sums. It has no bars: the bars of customers would look short beside them. */
function formatSum(title: string, usage: Usage): string {
  const { cpuSeconds, memoryPeakBytes, ioBytes } = usage;
  const cells = [formatCpu(cpuSeconds), formatBytes(memoryPeakBytes), formatBytes(ioBytes)];
  return `<tr><th scope="row">${title}</th>${cells.map(cell).join("")}${counts(usage).join("")}</tr>`;
}

function counts({ pidsPeak, oomKills, refusedForks }: Usage): string[] {
  return [pidsPeak, oomKills, refusedForks].map((count) => cell(formatCount(count)));
}

function cell(text: string): string {
  return `<td>${text}</td>`;
}

/** Returns a cell with a number and, below it, a bar in proportion to `most`. */
function bar(text: string, value: number | undefined, most: number): string {
  const share = most === 0 ? 0 : ((value ?? 0) / most) * 100;
  if (share === 0) return cell(text);
  return `<td class="bar">${text}<svg aria-hidden="true" viewBox="0 0 100 1" preserveAspectRatio="none"><rect width="${share.toFixed(2)}" height="1"/></svg></td>`;
}

function formatIncidents({ incidents, allIncidents }: ReportData): string {
  if (incidents.length === 0)
    return "<section><h2>At limits</h2>\n<p>No process was killed or refused.</p></section>";
  const rows = incidents.map(
    ({ day, customer, oomKills, refusedForks, memoryPeakBytes, pidsPeak }) =>
      `<tr><th scope="row">${day}</th><td class="name">${escapeHtml(customer)}</td>${[
        formatCount(oomKills),
        formatBytes(memoryPeakBytes),
        formatCount(refusedForks),
        formatCount(pidsPeak),
      ]
        .map(cell)
        .join("")}</tr>`,
  );
  const titles = [
    "Killed for lack of memory",
    "Most memory",
    "Processes refused",
    "Most processes",
  ];
  return `<section>
<h2>At limits</h2>
<div class="scroll" tabindex="0" role="region" aria-label="At limits">
<table>
<caption>Days on which the kernel killed or refused processes, the latest first${
    allIncidents > incidents.length
      ? `: ${formatCount(incidents.length)} of ${formatCount(allIncidents)}`
      : ""
  }</caption>
<thead><tr><th scope="col">Day</th><th scope="col" class="name">Customer</th>${titles.map((text) => `<th scope="col">${text}</th>`).join("")}</tr></thead>
<tbody>
${rows.join("\n")}
</tbody>
</table>
</div>
</section>`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
