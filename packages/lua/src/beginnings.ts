/**
 * Asks the daemon whether a run may begin to have effects: at most once for each run, and not after
 * the run has ended.
 */
import { type ByteString, textOf } from "@cm4all/linux";
import type { HostChannel } from "./host-channel.ts";
import type { BeginRequest } from "./runtime/effects.ts";

/** The question whether one run may begin to have effects, and the answer. */
class Beginning {
  readonly granted: Promise<void>;
  isAnswered = false;
  refusal: Error | undefined;
  readonly #send: () => void;
  #isAsked = false;
  #settle: () => void = () => {};

  constructor(send: () => void) {
    this.#send = send;
    this.granted = new Promise((resolve, reject) => {
      this.#settle = () => (this.refusal === undefined ? resolve() : reject(this.refusal));
    });
    // A caller that blocks reads `refusal` instead of waiting for the promise. The promise may then
    // be rejected without a handler, which would end the process.
    this.granted.catch(() => {});
  }

  ask(): void {
    if (this.#isAsked || this.isAnswered) return;
    this.#isAsked = true;
    this.#send();
  }

  /** Notes an answer; the first one counts. */
  answer(refusal: Error | undefined): void {
    if (this.isAnswered) return;
    this.isAnswered = true;
    this.refusal = refusal;
    this.#settle();
  }
}

export class Beginnings {
  readonly #channel: HostChannel;
  /** The questions of the runs that have not ended. */
  readonly #beginnings = new Map<number, Beginning>();

  constructor(channel: HostChannel) {
    this.#channel = channel;
  }

  /** Returns the functions with which a new run asks its question. */
  of(run: number): BeginRequest {
    const beginning = new Beginning(() => this.#channel.send({ type: "begin", number: run }));
    this.#beginnings.set(run, beginning);
    return {
      ask: () => {
        beginning.ask();
        return beginning.granted;
      },
      askSync: () => {
        beginning.ask();
        this.#channel.receiveUntil(() => beginning.isAnswered);
        if (beginning.refusal !== undefined) throw beginning.refusal;
      },
    };
  }

  /** Passes on the daemon's answer; does nothing if the run has ended. */
  answered(run: number, refusal?: ByteString): void {
    const error = refusal === undefined ? undefined : new Error(textOf(refusal));
    this.#beginnings.get(run)?.answer(error);
  }

  /**
   * Notes that a run has ended; the daemon expects no question about it from then on. If the
   * handler has returned, the cgroup is accounted, and coroutines that the handler has left behind
   * may have effects. If the handler has failed, it may be called again, so its coroutines must not
   * have effects.
   */
  ended(run: number, hasFailed: boolean): void {
    const refusal = hasFailed ? new Error("the handler that started this has failed") : undefined;
    this.#beginnings.get(run)?.answer(refusal);
    this.#beginnings.delete(run);
  }
}
