/** The manual page of the metrics, made from their declarations. */
import { metricName } from "../../src/metrics/metric-name.ts";
import { forEachMetric, type Part } from "../../src/status/status.ts";

const TITLES: { readonly [P in Part]: string } = {
  daemon: "The main thread",
  namespace: "Namespaces",
  reaper: "Cgroups: the reaper",
  accounting: "Accounting and its journal",
};

const HEAD = String.raw`.\" Generated from the declarations in packages/spawn by metrics-page.test.ts.
.TH CM4ALL\-SPAWN\-METRICS 7 "2026-11" "cm4all-spawn" "Miscellaneous"
.SH NAME
cm4all\-spawn\-metrics \- metrics of the cm4all\-spawn daemon
.SH DESCRIPTION
The daemon serves the metrics below to Prometheus if
.B [metrics]
in
.BR spawn.toml (5)
sets an address. The text in parentheses after each metric gives its type, its label if it has one,
its row in the output of
.BR "cm4all\-spawn status" ,
and its place in the output of
.BR "cm4all\-spawn status \-\-json" .
.BR cm4all\-spawn (8)
describes the other rows.
.PP
Units are seconds and bytes. Counters begin at 0 when the daemon starts; those of the reaper also
begin at 0 when the reaper's thread is restarted. The series of a histogram have names that end in
.IR _bucket ", " _sum " and " _count .
A metric of the type
.I state
is a gauge with a series for each state: 1 for the present state, and 0 for the others.
The label value
.I (gone)
stands for all scopes that no longer exist.
`;

/** The metrics that have no declaration: the daemon's version, and what prom-client adds. */
const PROCESS = `.SH THE PROCESS
Only Prometheus gets the following metrics. Of what they tell, the command
.B status
shows the version and the time since the start, in the row \\(lqdaemon\\(rq.
.TP
.B cm4all_spawn_build_info
Always 1; the label gives the version of the running daemon.
(gauge; label version)
.TP
.B nodejs_version_info
Always 1; the labels give the version of Node.
(gauge; labels version, major, minor, patch)
.TP
.B process_cpu_seconds_total
CPU time of all threads of the daemon, but not of scripts, since the daemon began to serve metrics.
(counter)
.TP
.B process_cpu_user_seconds_total
The part of process_cpu_seconds_total that was spent in user mode.
(counter)
.TP
.B process_cpu_system_seconds_total
The part of process_cpu_seconds_total that was spent in the kernel.
(counter)
.TP
.B process_start_time_seconds
The time at which the daemon was started, in seconds since 1970.
(gauge)
.TP
.B process_resident_memory_bytes
Resident memory of the process.
(gauge)
.TP
.B process_virtual_memory_bytes
Size of the process's address space.
(gauge)
.TP
.B process_heap_bytes
Size of the process's data segments: VmData in
.BR proc_pid_status (5).
(gauge)
.TP
.B process_open_fds
Number of open file descriptors.
(gauge)
.TP
.B process_max_fds
Maximum number of open file descriptors.
(gauge)
`;

const TAIL = String.raw`.SH FILES
.TP
.I /usr/share/doc/cm4all\-spawn/examples/prometheus
Configuration files for Prometheus: what to scrape, rules, and alerts with instructions.
.SH SEE ALSO
.BR cm4all\-spawn (8),
.BR cm4all\-spawn\-accounting (8),
.BR cm4all\-spawn\-troubleshooting (7),
.BR spawn.toml (5)
`;

/** Escapes text for roff, so that hyphens can be copied, and no line is taken for a request. */
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
