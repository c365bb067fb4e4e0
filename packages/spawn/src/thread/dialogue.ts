/**
 * The types of the messages between the main thread and a worker. Each message is declared once,
 * as a method of a Dialogue, and both sides are checked against the declaration.
 */

type Methods = { readonly [name: string]: (...args: never[]) => unknown };

/**
 * The messages of both sides. Arguments and answers must be types that the structured clone
 * algorithm can copy.
 */
export interface Dialogue {
  /** Requests of the main thread. The worker answers each, in any order. */
  readonly requests: Methods;
  /** Messages of the main thread that get no answer. */
  readonly commands: Methods;
  /** Messages that the worker sends of its own accord. */
  readonly events: Methods;
}

type Name<M> = keyof M & string;
type Arguments<Method> = Method extends (...args: infer Args) => unknown ? Args : never;
type Answer<Method> = Method extends (...args: never[]) => infer Value ? Value : never;

export type RequestName<D extends Dialogue> = Name<D["requests"]>;
export type RequestArguments<D extends Dialogue, N extends RequestName<D>> = Arguments<
  D["requests"][N]
>;
export type RequestAnswer<D extends Dialogue, N extends RequestName<D>> = Answer<D["requests"][N]>;

export type CommandName<D extends Dialogue> = Name<D["commands"]>;
export type CommandArguments<D extends Dialogue, N extends CommandName<D>> = Arguments<
  D["commands"][N]
>;

export type EventName<D extends Dialogue> = Name<D["events"]>;
export type EventArguments<D extends Dialogue, N extends EventName<D>> = Arguments<D["events"][N]>;

/** The main thread's handlers for events. */
export type EventHandlers<D extends Dialogue> = {
  readonly [N in EventName<D>]: (...args: EventArguments<D, N>) => void;
};

/**
 * An answer, or a function that takes a callback and calls it with the answer later. Promises
 * would not do: they do nothing on a thread that runs an EventLoop. An answer is never a function
 * itself, because functions cannot be cloned.
 */
export type AnswerOrLater<Value> = Value | ((answer: (value: Value) => void) => void);

/** The worker's handlers. */
export interface WorkerHandlers<D extends Dialogue> {
  readonly requests: {
    readonly [N in RequestName<D>]: (
      ...args: RequestArguments<D, N>
    ) => AnswerOrLater<RequestAnswer<D, N>>;
  };
  readonly commands: {
    readonly [N in CommandName<D>]: (...args: CommandArguments<D, N>) => void;
  };
}

/** A message to a worker: a request, or a command, which has no number. */
export interface ToWorker {
  readonly name: string;
  readonly args: readonly unknown[];
  /** The number that the answer will carry. */
  readonly request?: number;
}

/** A message to the main thread: an event, or the answer to a request. */
export type FromWorker =
  | { readonly event: string; readonly args: readonly unknown[] }
  | { readonly request: number; readonly answer: unknown };

/** The data with which a worker starts. */
export interface WorkerStart {
  readonly role: string;
  readonly wakeFd: number;
  readonly options: unknown;
}

/**
 * Returns the handler of a message. Both sides are checked against the same Dialogue, so the
 * arguments match.
 * @throws Error if there is no handler: the two sides are then from different programs
 */
export function handlerOf(
  handlers: object,
  name: string,
): (...args: readonly unknown[]) => unknown {
  const handler: unknown = Reflect.get(handlers, name);
  if (typeof handler !== "function") throw new Error(`no handler for the message ${name}`);
  return (...args) => Reflect.apply(handler, handlers, args);
}
