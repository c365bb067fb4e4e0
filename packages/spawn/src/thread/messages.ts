/**
 * Messages between the main thread and a worker that runs an EventLoop.
 *
 * Such a worker never returns to Node's loop, so `on("message")` would never be
 * called there: the sender wakes it through an eventfd, and it fetches its messages.
 * In the other direction Node delivers them as always.
 */

import {
  type MessagePort,
  parentPort,
  type ResourceLimits,
  receiveMessageOnPort,
  Worker,
  workerData,
} from "node:worker_threads";
import { drainEventfd, EPOLLIN, eventfd, type Fd, signalEventfd } from "@cm4all/linux";
import type { EventLoop } from "./event-loop.ts";

/** What a worker starts with. */
interface Start<Options> {
  readonly role: string;
  readonly wakeFd: number;
  readonly options: Options;
}

/** The main thread's side of a worker. It owns the worker and its eventfd. */
export class WorkerThread<ToWorker, FromWorker> {
  readonly #worker: Worker;
  readonly #wake: Fd;
  #ended = false;

  /**
   * @param role which of the program's workers this is; see workerRole
   * @param onMessage called on the main thread
   * @param onEnd the worker has ended: undefined where it returned, else what it threw
   */
  constructor(
    role: string,
    options: unknown,
    onMessage: (message: FromWorker) => void,
    onEnd: (error: unknown) => void,
    resourceLimits: ResourceLimits = {},
  ) {
    this.#wake = eventfd();
    const start: Start<unknown> = { role, wakeFd: this.#wake.number, options };
    this.#worker = new Worker(__filename, {
      workerData: start,
      name: role,
      // Node must not close descriptors behind their owners' backs.
      trackUnmanagedFds: false,
      resourceLimits,
    });
    this.#worker.on("message", onMessage);
    let failure: unknown;
    this.#worker.on("error", (error) => {
      failure = error;
    });
    this.#worker.on("exit", (status) => {
      this.#ended = true;
      this.#wake.close();
      onEnd(failure ?? (status === 0 ? undefined : new Error(`the ${role} thread exited`)));
    });
  }

  post(message: ToWorker): void {
    if (this.#ended) return;
    this.#worker.postMessage(message);
    signalEventfd(this.#wake.number);
  }
}

/** The worker's side. */
export interface ParentThread<FromWorker> {
  post(message: FromWorker): void;
}

function start(): Start<unknown> {
  return workerData as Start<unknown>;
}

/** Which worker this thread is. To be called on a worker thread. */
export function workerRole(): string {
  return start().role;
}

/** What the main thread gave this worker. */
export function workerOptions<Options>(): Options {
  return start().options as Options;
}

/** Connects a worker's loop with the main thread: `handle` is called for every message. */
export function attachToParent<ToWorker, FromWorker>(
  loop: EventLoop,
  handle: (message: ToWorker) => void,
): ParentThread<FromWorker> {
  const port: MessagePort | null = parentPort;
  if (port === null) throw new Error("not a worker thread");
  const { wakeFd } = start();
  loop.watch(wakeFd, EPOLLIN, () => {
    drainEventfd(wakeFd);
    for (;;) {
      const received = receiveMessageOnPort(port);
      if (received === undefined) return;
      handle(received.message as ToWorker);
    }
  });
  return { post: (message) => port.postMessage(message) };
}
