/**
 * `GET /metrics` for Prometheus, over TCP or a Unix socket. Off unless configured; this
 * module and its library are loaded only then.
 */
import { once } from "node:events";
import { chmodSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { encodeUnixAddress } from "@cm4all/linux";
import { Registry } from "prom-client";
import { type ConnectionBounds, ConnectionLimit } from "../connection-limit.ts";
import { removeStaleSocket } from "../stale-socket.ts";
import type { DaemonStatus } from "../status.ts";
import { parseListenAddress } from "./address.ts";
import { type Metric, metricsOf } from "./daemon-metrics.ts";

/** How often the main thread's delay is measured, milliseconds. */
const DELAY_RESOLUTION_MS = 100;

/** Anybody who reaches the port can connect. */
const BOUNDS: ConnectionBounds = { count: 256, peerTimeoutMs: 10_000 };

/** Connections that wait to be accepted; net.core.somaxconn bounds it. */
const LISTEN_BACKLOG = 4096;

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
 * @throws Error of the system call that failed, or for a path that is too long
 */
export async function listenForMetrics(
  address: string,
  readStatus: () => Promise<DaemonStatus>,
): Promise<Server> {
  const delay = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
  const render = async () => {
    const status = await readStatus();
    const registry = new Registry();
    for (const metric of metricsOf(status)) register(registry, metric);
    // What the histogram shows includes the pause that it measures with.
    const mainMs = Math.max(0, delay.max / 1e6 - DELAY_RESOLUTION_MS);
    delay.reset();
    register(registry, loopDelay(mainMs, status.namespaces.longestTurnMs));
    return { type: registry.contentType, text: await registry.metrics() };
  };
  // Those who ask at the same time share an answer: many of them cost the threads no more.
  let rendered: ReturnType<typeof render> | undefined;
  const renderOnce = () => {
    rendered ??= render().finally(() => {
      rendered = undefined;
    });
    return rendered;
  };
  const server = createServer(async (request, response) => {
    // One request a connection: what it may take then has an end.
    if (!limit.working(request.socket)) return;
    response.setHeader("connection", "close");
    const answer = (status: number, text: string) => {
      limit.answering(request.socket);
      response.writeHead(status).end(text);
    };
    if (request.url !== "/metrics") return answer(404, "see /metrics\n");
    try {
      const { type, text } = await renderOnce();
      response.setHeader("content-type", type);
      answer(200, text);
    } catch (error) {
      answer(500, `${error instanceof Error ? error.message : error}\n`);
    }
  });
  const limit = new ConnectionLimit(server, BOUNDS);
  server.on("close", () => delay.disable());
  await listen(server, address);
  delay.enable();
  return server;
}

async function listen(server: Server, address: string): Promise<void> {
  const where = parseListenAddress(address);
  if (where === undefined) throw new RangeError(`not an address: ${address}`);
  if ("path" in where) {
    // Says what is wrong, where listen(2) says EINVAL.
    encodeUnixAddress(where.path);
    await removeStaleSocket(where.path);
  }
  server.listen({ ...where, backlog: LISTEN_BACKLOG });
  await once(server, "listening");
  if (!("path" in where)) return;
  try {
    chmodSync(where.path, 0o600);
  } catch (error) {
    server.close();
    throw error;
  }
}
