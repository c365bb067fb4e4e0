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
cm4all\-spawn\-metrics \- metrics of the cm4all\-spawn daemon
.SH DESCRIPTION
The daemon serves these metrics to Prometheus, under the names below, if
.B [metrics]
in
.BR spawn.toml (5)
says where that page is. In
.B cm4all\-spawn status
it is in the row that is given in parentheses, and in
.B cm4all\-spawn status \-\-json
under its part and key. Units are seconds and bytes. Counters begin at 0 when the daemon starts, and
those of the reaper when its thread starts. A histogram has three series, whose names end in
.IR _bucket ", " _sum " and " _count .
The figures of scopes that no longer exist have the label
.IR (gone) .
`;

const TAIL = String.raw`.SH FILES
.TP
.I /usr/share/doc/cm4all\-spawn/examples/prometheus
Configuration for Prometheus: what to scrape, rules, and alerts with instructions.
.SH SEE ALSO
.BR cm4all\-spawn (8),
.BR cm4all\-spawn\-accounting (8),
.BR cm4all\-spawn\-troubleshooting (7),
.BR spawn.toml (5)
`;

/** Escapes text for roff: hyphens can be copied, and no line begins with a request. */
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
