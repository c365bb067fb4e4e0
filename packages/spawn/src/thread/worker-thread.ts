/**
 * The main thread's side of a worker that runs an EventLoop.
 *
 * Such a worker never returns to Node's loop, so `on("message")` would never be called
 * there: the sender wakes it through an eventfd, and it fetches its messages. In the
 * other direction Node delivers them as always.
 *
 * Invariant: a request is settled exactly once, at the latest when the thread has ended.
 */
import { type ResourceLimits, Worker } from "node:worker_threads";
import { eventfd, type Fd, signalEventfd } from "@cm4all/linux";
import {
  type CommandArguments,
  type CommandName,
  type Dialogue,
  type EventHandlers,
  type FromWorker,
  handlerOf,
  type RequestAnswer,
  type RequestArguments,
  type RequestName,
  type ToWorker,
  type WorkerStart,
} from "./dialogue.ts";

/** A request got no answer, because its thread has ended. The cause is what the thread threw, if it did. */
export class ThreadEndedError extends Error {
  override name = "ThreadEndedError";
}

export interface WorkerThreadOptions<D extends Dialogue> {
  /** Which of the program's workers this is; see workerRole. */
  readonly role: string;
  /** Cloned for the worker; see workerOptions. */
  readonly options: unknown;
  /** Called on the main thread. */
  readonly events: EventHandlers<D>;
  readonly resourceLimits?: ResourceLimits;
  /** The script that the worker runs: by default the program's own, which is one file. */
  readonly script?: string;
}

interface PendingRequest {
  readonly name: string;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: ThreadEndedError) => void;
}

/** Owns the worker and the eventfd that wakes it; both end with the thread. */
export class WorkerThread<D extends Dialogue> {
  readonly #role: string;
  readonly #worker: Worker;
  readonly #wake: Fd;
  readonly #pending = new Map<number, PendingRequest>();
  #nextRequest = 1;
  #failure: unknown;
  #hasEnded = false;

  /**
   * Settles when the thread has ended: rejects with what it threw, or with an Error if
   * it exited in another way than by returning. It has to be handled.
   */
  readonly ended: Promise<void>;

  /** Starts the thread. @throws Error if there is no descriptor or no thread for it */
  constructor(options: WorkerThreadOptions<D>) {
    const { role, events, resourceLimits = {}, script = __filename } = options;
    this.#role = role;
    this.#wake = eventfd();
    const start: WorkerStart = { role, wakeFd: this.#wake.number, options: options.options };
    try {
      this.#worker = new Worker(script, {
        workerData: start,
        name: role,
        // Node must not close descriptors behind their owners' backs.
        trackUnmanagedFds: false,
        resourceLimits,
      });
    } catch (error) {
      this.#wake.close();
      throw error;
    }
    this.#worker.on("message", (message: FromWorker) => this.#receive(message, events));
    this.ended = new Promise((resolve, reject) => {
      this.#worker.on("error", (error) => {
        this.#failure = error;
      });
      this.#worker.on("exit", (status) => {
        if (status !== 0) this.#failure ??= new Error(`the ${role} thread exited (${status})`);
        this.#end();
        if (this.#failure === undefined) resolve();
        else reject(this.#failure);
      });
    });
  }

  /**
   * Asks the thread.
   * @throws ThreadEndedError if the thread ends, or has ended, before it answers
   * @throws DOMException if the arguments cannot be cloned
   */
  request<N extends RequestName<D>>(
    name: N,
    ...args: RequestArguments<D, N>
  ): Promise<RequestAnswer<D, N>> {
    return new Promise((resolve, reject) => {
      if (this.#hasEnded) {
        reject(this.#endedError(name));
        return;
      }
      const request = this.#nextRequest++;
      this.#send({ name, args, request });
      // The other side answers by the same Dialogue.
      const settle = resolve as PendingRequest["resolve"];
      this.#pending.set(request, { name, resolve: settle, reject });
    });
  }

  /** Tells the thread; nothing happens if it has ended. */
  post<N extends CommandName<D>>(name: N, ...args: CommandArguments<D, N>): void {
    if (!this.#hasEnded) this.#send({ name, args });
  }

  #send(message: ToWorker): void {
    this.#worker.postMessage(message);
    signalEventfd(this.#wake.number);
  }

  #receive(message: FromWorker, events: EventHandlers<D>): void {
    if ("event" in message) {
      handlerOf(events, message.event)(...message.args);
      return;
    }
    const pending = this.#pending.get(message.request);
    this.#pending.delete(message.request);
    pending?.resolve(message.answer);
  }

  #end(): void {
    this.#hasEnded = true;
    this.#wake.close();
    for (const { name, reject } of this.#pending.values()) reject(this.#endedError(name));
    this.#pending.clear();
  }

  #endedError(request: string): ThreadEndedError {
    return new ThreadEndedError(
      `the ${this.#role} thread has ended, it does not answer: ${request}`,
      this.#failure === undefined ? {} : { cause: this.#failure },
    );
  }
}
