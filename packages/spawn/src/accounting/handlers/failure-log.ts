/** Logs why handlers fail, or why the journal cannot be read, without repeating a reason. */
import { inOneLine } from "@cm4all/command";
import { errorText } from "@cm4all/linux";
import type { Outcome } from "@cm4all/lua";
import { LOG_ERR, type Logger } from "../../log/log.ts";
import type { HandlerFailure } from "../terms/script-status.ts";
import { type Entry, nameOf } from "./entry.ts";

export class FailureLog {
  readonly #log: Logger;
  /** The latest reason, which is not logged again until a handler has succeeded. */
  #said: string | undefined;
  /** The latest failure of a handler; undefined before the first. */
  lastFailure: HandlerFailure | undefined;
  failedHandlers = 0;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Logs a failure, unless the reason is known: in an outage of the database all handlers fail. */
  handlerFailed(group: readonly Entry[], outcome: Exclude<Outcome, { type: "done" }>): void {
    this.failedHandlers++;
    const { message } = outcome;
    this.lastFailure = { cgroup: nameOf(group), message, failedMs: Date.now() };
    const traceback = outcome.type === "failed" ? outcome.traceback : undefined;
    const isKnown = group.every(({ lastError }) => lastError === message);
    if (!isKnown && message !== this.#said)
      this.#log(LOG_ERR, `${nameOf(group)}: ${inOneLine(message, traceback)}`);
    this.#said = message;
    for (const entry of group) entry.lastError = message;
  }

  /** Logs why the journal cannot be read, unless that is the latest reason already. */
  cannotRead(error: unknown): void {
    const reason = `cannot read the journal: ${errorText(error)}`;
    if (reason !== this.#said) this.#log(LOG_ERR, reason);
    this.#said = reason;
  }

  /**
   * Notes that handlers succeed: the latest reason is logged again if it recurs, unless the same
   * records have failed for that reason before.
   */
  succeeded(): void {
    this.#said = undefined;
  }
}
