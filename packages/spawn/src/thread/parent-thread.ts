/** The worker's side of a WorkerThread. Everything here is to be called on the worker. */
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

/** Returns the role of this worker. */
export function workerRole(): string {
  return start().role;
}

/** Returns the options that the main thread passed to this worker. */
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

  /** Sends an event to the main thread. @throws TypeError if the arguments cannot be cloned */
  post<N extends EventName<D>>(name: N, ...args: EventArguments<D, N>): void {
    this.#send({ event: name, args });
  }

  /**
   * Calls the handlers, from the loop, for everything that the main thread sends. Messages that
   * came before this call are not lost. An exception from one of the handlers ends the loop, like
   * an exception from any other handler of the loop.
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
      // A DOMException that ended the thread would reach the main thread as an empty object.
      throw new TypeError(String(error));
    }
  }
}
