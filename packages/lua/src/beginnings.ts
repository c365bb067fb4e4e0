/** Asks the daemon whether runs may begin, each at most once. */
import { type ByteString, textOf } from "@cm4all/linux";
import type { HostChannel } from "./host-channel.ts";
import type { BeginRequest } from "./runtime/effects.ts";

class Beginning {
  readonly granted: Promise<void>;
  isAnswered = false;
  refusal: Error | undefined;
  #settle: () => void = () => {};

  constructor() {
    this.granted = new Promise((resolve, reject) => {
      this.#settle = () => (this.refusal === undefined ? resolve() : reject(this.refusal));
    });
    // Who blocks looks at `refusal` instead.
    this.granted.catch(() => {});
  }

  answer(refusal: Error | undefined): void {
    this.isAnswered = true;
    this.refusal = refusal;
    this.#settle();
  }
}

export class Beginnings {
  readonly #channel: HostChannel;
  /** Those that were asked for, until their run has ended. */
  readonly #beginnings = new Map<number, Beginning>();

  constructor(channel: HostChannel) {
    this.#channel = channel;
  }

  /** Returns the request of one run. */
  of(run: number): BeginRequest {
    return {
      ask: () => this.#ask(run).granted,
      askSync: () => {
        const beginning = this.#ask(run);
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

  forget(run: number): void {
    this.#beginnings.delete(run);
  }

  #ask(run: number): Beginning {
    const known = this.#beginnings.get(run);
    if (known !== undefined) return known;
    const beginning = new Beginning();
    this.#beginnings.set(run, beginning);
    this.#channel.send({ type: "begin", number: run });
    return beginning;
  }
}
