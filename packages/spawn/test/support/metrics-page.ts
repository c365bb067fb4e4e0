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
sets an address. In
.B cm4all\-spawn status
a metric is in the row that is given in parentheses
.RB ( cm4all\-spawn (8)
describes the other rows), and in
.B cm4all\-spawn status \-\-json
it is under its part and key. Units are seconds and bytes. Counters begin at 0 when the daemon starts, and
those of the reaper when its thread starts. A histogram has three series, whose names end in
.IR _bucket ", " _sum " and " _count .
The figures of scopes that no longer exist have the label
.IR (gone) .
`;

/** The metrics that have no declaration: the daemon's version, and what prom-client adds. */
const PROCESS = `.SH THE PROCESS
These are only on the page for Prometheus:
.TP
.B cm4all_spawn_build_info
1; the label has the version that runs.
(gauge; label version)
.TP
.B nodejs_version_info
1; the labels have the version of Node.
(gauge; labels version, major, minor, patch)
.TP
.B process_cpu_seconds_total
CPU time of all threads of the daemon, but not of scripts, since the page was first configured.
(counter)
.TP
.B process_cpu_user_seconds_total
The part of that time in user mode.
(counter)
.TP
.B process_cpu_system_seconds_total
The part of that time in the kernel.
(counter)
.TP
.B process_start_time_seconds
When the daemon was started, in seconds since 1970.
(gauge)
.TP
.B process_resident_memory_bytes
Memory of the process that is in RAM.
(gauge)
.TP
.B process_virtual_memory_bytes
Address space of the process.
(gauge)
.TP
.B process_heap_bytes
Private data, VmData in
.BR proc (5).
(gauge)
.TP
.B process_open_fds
Open file descriptors.
(gauge)
.TP
.B process_max_fds
The limit of open file descriptors.
(gauge)
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
  return text + PROCESS + TAIL;
}
