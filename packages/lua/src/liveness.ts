/**
 * Watches a script host that has work: its signs of life, and the memory that it uses. The timer
 * ends when the work has ended.
 */
import { mostMiB, residentBytes } from "./host-process.ts";

export interface LivenessOptions {
  /**
   * If the script host is silent for longer than this, `condemn` is called. The time starts again
   * if this process itself was stopped or frozen.
   */
  timeoutMs: number;
  /** The size of the script host's heap, in MiB. */
  memoryMiB: number;
  pid(): number | undefined;
  /** Asks for a sign of life. */
  ping(): void;
  isBusy(): boolean;
  /** Called to kill the script host. @param verdict the reason, for the log */
  condemn(verdict: string): void;
}

/** The interval between pings. */
const PING_MS = 1000;

export class Liveness {
  readonly #options: LivenessOptions;
  readonly #intervalMs: number;
  #timer: NodeJS.Timeout | undefined;
  #lastHeardMs = 0;
  #lastCheckMs = 0;
  #pongDue = false;

  constructor(options: LivenessOptions) {
    this.#options = options;
    this.#intervalMs = Math.min(PING_MS, options.timeoutMs / 4);
  }

  /** Notes that the script host has been given something to do. */
  watch(): void {
    if (this.#timer !== undefined) return;
    this.#lastHeardMs = performance.now();
    this.#lastCheckMs = this.#lastHeardMs;
    this.#ping();
    this.#timer = setInterval(() => this.#check(), this.#intervalMs);
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
    const nowMs = performance.now();
    // If this process was stopped or frozen itself, the script host may have answered meanwhile, and
    // the answer may not have been read yet.
    if (nowMs - this.#lastCheckMs > 2 * this.#intervalMs) this.#lastHeardMs = nowMs;
    this.#lastCheckMs = nowMs;
    const silentMs = nowMs - this.#lastHeardMs;
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
