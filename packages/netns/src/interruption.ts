/** Signals that ask us to end, seen between steps and while the script runs. */
import { CommandFailure } from "@cm4all/command";
import { exitStatusOfSignal } from "./failures.ts";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGQUIT", "SIGHUP"] as const;

/** Holds back the signals from its making until it is disposed. */
export class Interruption {
  #reason: CommandFailure | undefined;
  #listener: ((reason: CommandFailure) => void) | undefined;

  constructor() {
    for (const signal of SIGNALS) process.on(signal, this.#receive);
  }

  readonly #receive = (signal: NodeJS.Signals): void => {
    // The first one counts; more of them must not cut the undoing short.
    this.#reason ??= new CommandFailure(`ended by ${signal}`, exitStatusOfSignal(signal));
    this.#listener?.(this.#reason);
  };

  /** @throws CommandFailure where a signal came, even one that came just now */
  async check(): Promise<void> {
    // Node calls signal handlers from its event loop only.
    await new Promise((resolve) => setImmediate(resolve));
    if (this.#reason !== undefined) throw this.#reason;
  }

  /** Whom to tell at once from now on; undefined for nobody. */
  notify(listener: ((reason: CommandFailure) => void) | undefined): void {
    this.#listener = listener;
    if (this.#reason !== undefined) listener?.(this.#reason);
  }

  [Symbol.dispose](): void {
    for (const signal of SIGNALS) process.off(signal, this.#receive);
  }
}
