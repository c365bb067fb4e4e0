/** Signals that ask us to end. They take effect between steps and while the script is running. */
import { CommandFailure } from "@cm4all/command";
import { exitStatusOfSignal } from "./failures.ts";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGQUIT", "SIGHUP"] as const;

/** Catches the signals until this object is disposed of. */
export class Interruption {
  #reason: CommandFailure | undefined;
  #listener: ((reason: CommandFailure) => void) | undefined;

  constructor() {
    for (const signal of SIGNALS) process.on(signal, this.#receive);
  }

  readonly #receive = (signal: NodeJS.Signals): void => {
    // The first signal counts; further signals must not interrupt the undo steps.
    this.#reason ??= new CommandFailure(`ended by ${signal}`, exitStatusOfSignal(signal));
    this.#listener?.(this.#reason);
  };

  /** Checks for signals. @throws CommandFailure if one has come, even just now */
  async check(): Promise<void> {
    // Node calls signal handlers only from its event loop.
    await new Promise((resolve) => setImmediate(resolve));
    if (this.#reason !== undefined) throw this.#reason;
  }

  /**
   * Sets the function that is called immediately when a signal comes, or now if one has come
   * already; undefined for none.
   */
  notify(listener: ((reason: CommandFailure) => void) | undefined): void {
    this.#listener = listener;
    if (this.#reason !== undefined) listener?.(this.#reason);
  }

  [Symbol.dispose](): void {
    for (const signal of SIGNALS) process.off(signal, this.#receive);
  }
}
