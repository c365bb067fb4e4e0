/**
 * `GET /metrics` for Prometheus, over TCP or a Unix socket. Off unless configured; this
 * module and its library are loaded only then.
 */
import { chmodSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { Registry } from "prom-client";
import { removeStaleSocket } from "../stale-socket.ts";
import type { DaemonStatus } from "../status.ts";
import { parseListenAddress } from "./address.ts";
import { type Metric, metricsOf } from "./daemon-metrics.ts";

/** How often the main thread's delay is measured, milliseconds. */
const DELAY_RESOLUTION_MS = 100;

/** What prom-client writes out: it asks each metric for its values. */
function register(registry: Registry, { name, type, help, samples }: Metric): void {
  const values = samples.map(([labels, value, metricName]) => ({
    labels,
    value,
    ...(metricName === undefined ? {} : { metricName }),
  }));
  // Its type wants a class of its own; its documentation and code want name and get.
  const metric = { name, get: async () => ({ name, type, help, values, aggregator: "sum" }) };
  registry.registerMetric(metric as unknown as Parameters<Registry["registerMetric"]>[0]);
}

function loopDelay(mainMs: number, namespacesMs: number): Metric {
  return {
    name: "cm4all_spawn_loop_delay_seconds",
    type: "gauge",
    help: "The longest time that a thread served nobody, since the request before this one.",
    samples: [
      [{ thread: "main" }, mainMs / 1000],
      [{ thread: "namespaces" }, namespacesMs / 1000],
    ],
  };
}

/**
 * Listens at `address`. The caller closes the server.
 * @param readStatus asks the daemon's parts
 */
export async function listenForMetrics(
  address: string,
  readStatus: () => Promise<DaemonStatus>,
): Promise<Server> {
  const delay = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
  delay.enable();
  const answer = async (response: ServerResponse) => {
    const status = await readStatus();
    const registry = new Registry();
    for (const metric of metricsOf(status)) register(registry, metric);
    // What the histogram shows includes the pause that it measures with.
    const mainMs = Math.max(0, delay.max / 1e6 - DELAY_RESOLUTION_MS);
    delay.reset();
    register(registry, loopDelay(mainMs, status.namespaces.longestTurnMs));
    response.writeHead(200, { "content-type": registry.contentType });
    response.end(await registry.metrics());
  };
  const server = createServer((request, response) => {
    if (request.url !== "/metrics") {
      response.writeHead(404).end("see /metrics\n");
      return;
    }
    answer(response).catch((error: unknown) => {
      response.writeHead(500).end(`${error instanceof Error ? error.message : error}\n`);
    });
  });
  server.on("close", () => delay.disable());
  await listen(server, address);
  return server;
}

async function listen(server: Server, address: string): Promise<void> {
  const where = parseListenAddress(address);
  if (where === undefined) throw new RangeError(`not an address: ${address}`);
  if ("path" in where) await removeStaleSocket(where.path);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(where, () => {
      server.off("error", reject);
      resolve();
    });
  });
  if ("path" in where) chmodSync(where.path, 0o600);
}
