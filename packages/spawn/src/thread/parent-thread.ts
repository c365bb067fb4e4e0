/** The worker's side of a WorkerThread. All of it is to be called on the worker. */
import {
  type MessagePort,
  parentPort,
  receiveMessageOnPort,
  workerData,
} from "node:worker_threads";
import { drainEventfd, EPOLLIN } from "@cm4all/linux";
import {
  type Dialogue,
  type EventArguments,
  type EventName,
  type FromWorker,
  handlerOf,
  type ToWorker,
  type WorkerHandlers,
  type WorkerStart,
} from "./dialogue.ts";
import type { EventLoop } from "./event-loop.ts";

function start(): WorkerStart {
  return workerData as WorkerStart;
}

/** Returns which worker this thread is. */
export function workerRole(): string {
  return start().role;
}

/** Returns what the main thread gave this worker. */
export function workerOptions<Options>(): Options {
  return start().options as Options;
}

/** The main thread, as the worker sees it. */
export class ParentThread<D extends Dialogue> {
  readonly #port: MessagePort;

  constructor() {
    if (parentPort === null) throw new Error("not a worker thread");
    this.#port = parentPort;
  }

  /** Tells the main thread. @throws TypeError if the arguments cannot be cloned */
  post<N extends EventName<D>>(name: N, ...args: EventArguments<D, N>): void {
    this.#send({ event: name, args });
  }

  /**
   * Calls the handlers for all that the main thread says, from the loop. What came before
   * is not lost. What a handler throws ends the loop, as with every handler of it.
   */
  listen(loop: EventLoop, handlers: WorkerHandlers<D>): void {
    const { wakeFd } = start();
    loop.watch(wakeFd, EPOLLIN, () => {
      drainEventfd(wakeFd);
      for (;;) {
        const received = receiveMessageOnPort(this.#port);
        if (received === undefined) return;
        this.#handle(received.message as ToWorker, handlers);
      }
    });
  }

  #handle({ name, args, request }: ToWorker, handlers: WorkerHandlers<D>): void {
    if (request === undefined) {
      handlerOf(handlers.commands, name)(...args);
      return;
    }
    const answer = handlerOf(handlers.requests, name)(...args);
    const send = (value: unknown) => this.#send({ request, answer: value });
    if (typeof answer === "function") answer(send);
    else send(answer);
  }

  #send(message: FromWorker): void {
    try {
      this.#port.postMessage(message);
    } catch (error) {
      // If a DOMException ends the thread, the main thread gets an empty object for it.
      throw new TypeError(String(error));
    }
  }
}
