/**
 * The main thread's side of a worker that runs an EventLoop.
 *
 * Such a worker never returns to Node's loop, which therefore calls no `on("message")` handler
 * there. Instead the sender wakes the worker through an eventfd, and the worker fetches its
 * messages. In the other direction Node delivers messages as usual.
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

/**
 * A request got no answer because the thread that it was sent to has ended. The cause is the
 * exception that ended the thread, if there was one.
 */
export class ThreadEndedError extends Error {
  override name = "ThreadEndedError";
}

export interface WorkerThreadOptions<D extends Dialogue> {
  /** The role of the worker within the program; see workerRole. */
  readonly role: string;
  /** The options, which are cloned for the worker; see workerOptions. */
  readonly options: unknown;
  /** The handlers for the worker's events, called on the main thread. */
  readonly events: EventHandlers<D>;
  readonly resourceLimits?: ResourceLimits;
  /** The script that the worker runs; by default the file of the program itself. */
  readonly script?: string;
}

interface PendingRequest {
  readonly name: string;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: ThreadEndedError) => void;
}

/** A worker thread, with the eventfd that wakes it. Both are released when the thread ends. */
export class WorkerThread<D extends Dialogue> {
  readonly #role: string;
  readonly #worker: Worker;
  readonly #wake: Fd;
  readonly #pending = new Map<number, PendingRequest>();
  #nextRequest = 1;
  #failure: unknown;
  #hasEnded = false;

  /**
   * Settles when the thread has ended: rejects with the exception that ended the thread, or with
   * an Error if its exit status is not 0. The rejection has to be handled.
   */
  readonly ended: Promise<void>;

  /** Starts the thread. @throws Error if no descriptor can be opened or no thread started */
  constructor(options: WorkerThreadOptions<D>) {
    const { role, events, resourceLimits = {}, script = __filename } = options;
    this.#role = role;
    this.#wake = eventfd();
    const start: WorkerStart = { role, wakeFd: this.#wake.number, options: options.options };
    try {
      this.#worker = new Worker(script, {
        workerData: start,
        name: role,
        // Node must not close descriptors that other parts of the program own.
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
   * Sends a request to the thread. Resolves to the answer.
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
      // The worker's handlers are typed by the same Dialogue, so the type of the answer is right.
      const settle = resolve as PendingRequest["resolve"];
      this.#pending.set(request, { name, resolve: settle, reject });
    });
  }

  /** Sends a command to the thread; does nothing if the thread has ended. */
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
      `the ${this.#role} thread has ended and does not answer: ${request}`,
      this.#failure === undefined ? {} : { cause: this.#failure },
    );
  }
}
