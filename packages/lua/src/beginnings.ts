/** Asks the daemon whether runs may begin, each at most once, and not after its end. */
import { type ByteString, textOf } from "@cm4all/linux";
import type { HostChannel } from "./host-channel.ts";
import type { BeginRequest } from "./runtime/effects.ts";

/** Of one run. */
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
    // Who blocks looks at `refusal` instead.
    this.granted.catch(() => {});
  }

  ask(): void {
    if (this.#isAsked || this.isAnswered) return;
    this.#isAsked = true;
    this.#send();
  }

  /** The first answer counts. */
  answer(refusal: Error | undefined): void {
    if (this.isAnswered) return;
    this.isAnswered = true;
    this.refusal = refusal;
    this.#settle();
  }
}

export class Beginnings {
  readonly #channel: HostChannel;
  /** Of the runs that go on. */
  readonly #beginnings = new Map<number, Beginning>();

  constructor(channel: HostChannel) {
    this.#channel = channel;
  }

  /** Returns the request of a run that starts. */
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

  /** The daemon's answer; nobody waits for it if the run has ended meanwhile. */
  answered(run: number, refusal?: ByteString): void {
    const error = refusal === undefined ? undefined : new Error(textOf(refusal));
    this.#beginnings.get(run)?.answer(error);
  }

  /**
   * A run has ended, which the daemon takes for its last word. A coroutine of it that goes on
   * may take effect if its handler has returned: the cgroup is accounted. If it has failed,
   * the handler may be called again, and what is left of this call may do nothing more.
   */
  ended(run: number, hasFailed: boolean): void {
    const refusal = hasFailed
      ? new Error("the handler that has started this has failed")
      : undefined;
    this.#beginnings.get(run)?.answer(refusal);
    this.#beginnings.delete(run);
  }
}
