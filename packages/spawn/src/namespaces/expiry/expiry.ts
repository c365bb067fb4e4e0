/** Decides when names expire: some time after their last use. */
import { type EventLoop, monotonicMs, type Timer } from "../../thread/event-loop.ts";
import type { Registry } from "../names/registry.ts";
import type { NameEnder } from "./name-ender.ts";

/** Names that expire within this time of each other share one walk over `/proc`. */
const BATCH_MS = 1000;

export class Expiry {
  readonly #loop: EventLoop;
  readonly #registry: Registry;
  readonly #ender: NameEnder;
  #lifetimeMs: number;
  #timer: Timer | undefined;
  #isRunning = false;

  /** @param lifetimeMs the time from a name's last use to its end */
  constructor(loop: EventLoop, registry: Registry, ender: NameEnder, lifetimeMs: number) {
    this.#loop = loop;
    this.#registry = registry;
    this.#ender = ender;
    this.#lifetimeMs = lifetimeMs;
  }

  /** Plans the next expiry. To be called whenever a name has become idle. */
  plan(): void {
    if (this.#timer !== undefined || this.#isRunning) return;
    const oldestMs = this.#registry.oldestUseMs();
    if (oldestMs === undefined) return;
    const batchMs = Math.min(BATCH_MS, this.#lifetimeMs / 10);
    const delayMs = oldestMs + this.#lifetimeMs + batchMs - monotonicMs();
    this.#timer = this.#loop.after(Math.max(delayMs, batchMs), () => this.#run());
  }

  /** Changes the lifetime of names, including those that already exist. */
  configure(lifetimeMs: number): void {
    this.#lifetimeMs = lifetimeMs;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.plan();
  }

  #run(): void {
    this.#timer = undefined;
    this.#isRunning = true;
    this.#ender.endIdle(monotonicMs() - this.#lifetimeMs, () => {
      this.#isRunning = false;
      this.plan();
    });
  }
}
