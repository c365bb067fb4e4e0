/** Uses Debian's Prometheus with the scrape configuration and the rules of the examples. */
import { attempt, sh, waitFor } from "./shell.ts";

const EXAMPLES = "/usr/share/doc/cm4all-spawn/examples/prometheus";
const CONFIG = "/etc/prometheus";
const DATA = "/var/lib/prometheus/metrics2";
const API = "http://127.0.0.1:9090/api/v1";

/** An alert that is firing. */
export interface Alert {
  readonly name: string;
  readonly summary: string;
}

interface Series {
  readonly metric: Readonly<Record<string, string>>;
  /** The time, in seconds since 1970, and the value. */
  readonly value: readonly [number, string];
}

interface Answers {
  query: { readonly result: readonly Series[] };
  alerts: {
    readonly alerts: readonly {
      readonly labels: Readonly<Record<string, string>>;
      readonly annotations: Readonly<Record<string, string>>;
      readonly state: "pending" | "firing";
    }[];
  };
}

/**
 * Starts Prometheus with the files of the examples, and waits until it answers. Only the intervals
 * are shorter than in the examples, so that alerts fire sooner; the address of the metrics and the
 * expressions are unchanged. The caller stops Prometheus with `stopPrometheus`.
 */
export async function startPrometheus(slowness: number): Promise<void> {
  sh(`cp -a ${CONFIG} /run/prometheus.e2e
      cp ${EXAMPLES}/*.yml ${CONFIG}
      sed -i 's/_interval: 30s$/_interval: 10s/' ${CONFIG}/prometheus.yml
      systemctl start prometheus.service`);
  await waitFor("Prometheus answers", 60_000 * slowness, () =>
    ask("alerts").catch(() => undefined),
  );
}

/** Stops the server, removes what it has stored, and restores its configuration. */
export function stopPrometheus(): void {
  attempt(`systemctl stop prometheus.service; systemctl reset-failed prometheus.service
      test ! -e /run/prometheus.e2e || {
        rm -rf ${CONFIG} ${DATA}; mv /run/prometheus.e2e ${CONFIG}
      }`);
}

/** Returns the number of samples that a recording rule has written to its only series. */
export async function recordedSamples(series: string): Promise<number> {
  const { result } = await ask("query", `count_over_time(${series}[1h])`);
  return Number(result[0]?.value[1] ?? 0);
}

/** Returns the names of the alerts that are, or were, pending or firing. */
export async function alertsSoFar(): Promise<string[]> {
  const { result } = await ask("query", "last_over_time(ALERTS[1h])");
  return [...new Set(result.map(({ metric }) => metric["alertname"] ?? ""))].sort();
}

/** Returns the alerts that are firing. */
export async function firingAlerts(): Promise<Alert[]> {
  const { alerts } = await ask("alerts");
  return alerts
    .filter(({ state }) => state === "firing")
    .map(({ labels, annotations }) => ({
      name: labels["alertname"] ?? "",
      summary: annotations["summary"] ?? "",
    }));
}

async function ask<What extends keyof Answers>(
  what: What,
  expression?: string,
): Promise<Answers[What]> {
  const query = expression === undefined ? "" : `?query=${encodeURIComponent(expression)}`;
  const response = await fetch(`${API}/${what}${query}`);
  const answer = (await response.json()) as { error?: string; data: Answers[What] };
  if (!response.ok) throw new Error(answer.error);
  return answer.data;
}
