/**
 * Serves the metrics at the configured address. While another program uses the address, or the
 * address does not exist yet, the daemon runs without serving metrics.
 */

import type { Server } from "node:http";
import { LOG_INFO, LOG_WARNING, type Logger } from "../log/log.ts";
import { listenAgain } from "../sockets/listen-again.ts";
import { logServerErrors } from "../sockets/server-errors.ts";
import type { DaemonStatus, MetricsStatus } from "../status/status.ts";
import type { Exposition } from "./exposition.ts";

/** Serves metrics at the configured address as soon as that is possible, until `close`. */
export class MetricsEndpoint {
  readonly #readStatus: () => Promise<DaemonStatus>;
  readonly #log: Logger;
  #exposition: Promise<Exposition> | undefined;
  #status: MetricsStatus | undefined;
  #server: Server | undefined;
  #attempts: AbortController | undefined;

  constructor(readStatus: () => Promise<DaemonStatus>, log: Logger) {
    this.#readStatus = readStatus;
    this.#log = log;
  }

  /** Returns the state of the endpoint; undefined if no metrics are to be served. */
  get status(): MetricsStatus | undefined {
    return this.#status;
  }

  /**
   * Serves metrics at `address` and nowhere else; if `address` is empty, nowhere. A failure is
   * logged, and attempts go on until one succeeds or until the next call of `configure` or `close`.
   */
  configure(address: string): void {
    if (this.#status?.isListening === true && this.#status.address === address) return;
    this.close();
    if (address === "") return;
    this.#status = { address, isListening: false };
    this.#attempts = new AbortController();
    const { signal } = this.#attempts;
    const open = () => this.#listen(address, signal);
    void listenAgain(open, (problem) => this.#failed(address, problem), signal);
  }

  /** Stops listening, and closes all connections. */
  close(): void {
    this.#attempts?.abort();
    this.#status = undefined;
    this.#server?.close();
    this.#server?.closeAllConnections();
    this.#server = undefined;
  }

  async #listen(address: string, signal: AbortSignal): Promise<void> {
    const { listenForMetrics } = await import("./server.ts");
    this.#exposition ??= this.#expose().catch((error: unknown) => {
      // Otherwise every later attempt would fail, too.
      this.#exposition = undefined;
      throw error;
    });
    const server = await listenForMetrics(address, await this.#exposition);
    if (signal.aborted) {
      server.close();
      return;
    }
    logServerErrors(server, "the metrics", this.#log);
    this.#server = server;
    this.#status = { address, isListening: true };
    this.#log(LOG_INFO, `metrics are served at ${address}`);
  }

  /** Loads prom-client only if metrics are served, because this takes time and memory. */
  async #expose(): Promise<Exposition> {
    const { Exposition } = await import("./exposition.ts");
    return new Exposition(this.#readStatus);
  }

  /** Logs a reason once, however many attempts fail for it. */
  #failed(address: string, problem: string): void {
    if (this.#status?.problem !== problem)
      this.#log(LOG_WARNING, `cannot serve metrics at ${address}, trying again: ${problem}`);
    this.#status = { address, isListening: false, problem };
  }
}
