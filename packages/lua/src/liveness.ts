/**
 * Watches a script host that has work: its signs of life, and the memory that it uses. The timer
 * ends when the work has ended.
 */
import { mostMiB, residentBytes } from "./host-process.ts";

export interface LivenessOptions {
  /** If the script host is silent for longer than this, `condemn` is called. */
  timeoutMs: number;
  /** The size of the script host's heap, in MiB. */
  memoryMiB: number;
  pid(): number | undefined;
  /** Asks for a sign of life. */
  ping(): void;
  isBusy(): boolean;
  /** Has the script host killed. @param verdict the reason, for the log */
  condemn(verdict: string): void;
}

/** The interval between pings. */
const PING_MS = 1000;

export class Liveness {
  readonly #options: LivenessOptions;
  #timer: NodeJS.Timeout | undefined;
  #lastHeardMs = 0;
  #pongDue = false;

  constructor(options: LivenessOptions) {
    this.#options = options;
  }

  /** Notes that the script host has been given something to do. */
  watch(): void {
    if (this.#timer !== undefined) return;
    this.#lastHeardMs = performance.now();
    this.#ping();
    const intervalMs = Math.min(PING_MS, this.#options.timeoutMs / 4);
    this.#timer = setInterval(() => this.#check(), intervalMs);
  }

  /** Notes that the script host has sent something, whatever it was. */
  heard(): void {
    this.#lastHeardMs = performance.now();
  }

  /** Notes the answer to a ping. @returns false if no answer was due */
  answered(): boolean {
    const wasDue = this.#pongDue;
    this.#pongDue = false;
    return wasDue;
  }

  /** Ends the watch, even if an answer is still due. */
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
