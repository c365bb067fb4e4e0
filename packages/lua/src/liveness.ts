/**
 * Looks after a host that has work: whether it gives signs of life, and how much
 * memory it uses. Without work there is no timer.
 */
import { mostMiB, residentBytes } from "./host-process.ts";

export interface LivenessOptions {
  /** A host that is silent for so long is condemned. */
  timeoutMs: number;
  /** The heap it was given. */
  memoryMiB: number;
  pid(): number | undefined;
  /** Asks for a sign of life. */
  ping(): void;
  isBusy(): boolean;
  condemn(verdict: string): void;
}

/** How often the host is asked. */
const PING_MS = 1000;

export class Liveness {
  readonly #options: LivenessOptions;
  #timer: NodeJS.Timeout | undefined;
  #lastHeardMs = 0;
  #pongDue = false;

  constructor(options: LivenessOptions) {
    this.#options = options;
  }

  /** The host was given something to do. */
  watch(): void {
    if (this.#timer !== undefined) return;
    this.#lastHeardMs = performance.now();
    this.#ping();
    const intervalMs = Math.min(PING_MS, this.#options.timeoutMs / 4);
    this.#timer = setInterval(() => this.#check(), intervalMs);
  }

  /** Anything came from the host. */
  heard(): void {
    this.#lastHeardMs = performance.now();
  }

  /** The answer to a ping came. @returns whether there was such a ping */
  answered(): boolean {
    const wasDue = this.#pongDue;
    this.#pongDue = false;
    return wasDue;
  }

  /** Ends the watch. An answer that is still due is waited for no more. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#pongDue = false;
  }

  #ping(): void {
    this.#pongDue = true;
    this.#options.ping();
  }

  #check(): void {
    const { timeoutMs, memoryMiB, condemn } = this.#options;
    const silentMs = performance.now() - this.#lastHeardMs;
    if (silentMs > timeoutMs) {
      condemn(`no sign of life for ${Math.round(silentMs / 1000)} s`);
      return;
    }
    const residentMiB = (residentBytes(this.#options.pid()) ?? 0) / 1024 / 1024;
    if (residentMiB > mostMiB(memoryMiB)) {
      condemn(`it uses ${Math.round(residentMiB)} MiB of memory`);
      return;
    }
    if (this.#pongDue) return;
    if (this.#options.isBusy()) this.#ping();
    else this.stop();
  }
}
