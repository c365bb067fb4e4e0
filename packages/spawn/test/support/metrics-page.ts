/** The manual page of the metrics, made from their declarations. */
import { metricName } from "../../src/metrics/metric-name.ts";
import { forEachMetric, type Part } from "../../src/status/status.ts";

const TITLES: { readonly [P in Part]: string } = {
  daemon: "The main thread",
  namespace: "Namespaces",
  reaper: "Cgroups: the reaper",
  accounting: "Accounting and its journal",
};

const HEAD = String.raw`.\" Made from the declarations in packages/spawn by metrics-page.test.ts.
.TH CM4ALL\-SPAWN\-METRICS 7 "2026-11" "cm4all-spawn" "Miscellaneous"
.SH NAME
cm4all\-spawn\-metrics \- metrics of cm4all\-spawn
.SH DESCRIPTION
The daemon serves these metrics to Prometheus, under the names below, if
.B [metrics]
in
.BR spawn.toml (5)
sets an address.
.B cm4all\-spawn status
shows each metric in the row that is given below, and
.B cm4all\-spawn status \-\-json
under its part and key. Units are seconds and bytes. Counters begin at 0 when the daemon starts,
counters of the reaper when its thread starts. A histogram has three series, whose names end in
.IR _bucket ", " _sum " and " _count .
The label
.I (gone)
sums up scopes that no longer exist.
`;

const TAIL = String.raw`.SH FILES
.TP
.I /usr/share/doc/cm4all\-spawn/examples/prometheus
The scrape configuration, rules, and alerts that say what to do.
.SH SEE ALSO
.BR cm4all\-spawn (8),
.BR cm4all\-spawn\-accounting (8),
.BR cm4all\-spawn\-troubleshooting (7),
.BR spawn.toml (5)
`;

/** In the text of a manual page, a hyphen that can be copied, and no request at the start of a line. */
function roffOf(text: string): string {
  return text.replaceAll("\\", "\\e").replaceAll("-", "\\-").replace(/^[.']/gm, "\\&$&");
}

export function formatMetricsPage(): string {
  let text = HEAD;
  let last: Part | undefined;
  forEachMetric((part, key, declaration) => {
    if (part !== last) text += `.SH ${TITLES[part].toUpperCase()}\n`;
    last = part;
    const { kind, help, row } = declaration;
    const labels =
      kind === "state"
        ? `label state: ${Object.keys(declaration.states).join(", ")}`
        : declaration.label === undefined
          ? undefined
          : `label ${declaration.label}${declaration.values === undefined ? "" : `: ${declaration.values.join(", ")}`}`;
    const about = [kind, labels].filter((each) => each !== undefined).join("; ");
    text += `.TP\n.B ${roffOf(metricName(part, key, kind))}\n${roffOf(help)}\n(${roffOf(about)}; row \\(lq${roffOf(row)}\\(rq, .${part}.${key})\n`;
  });
  return text + TAIL;
}
