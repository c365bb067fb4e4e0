/**
 * What the main thread and a worker say to each other, by type. Each thing that can be
 * said is declared once, as a method of a Dialogue; both sides are checked against it.
 */

type Methods = { readonly [name: string]: (...args: never[]) => unknown };

/** Arguments and answers have to be what the structured clone algorithm can copy. */
export interface Dialogue {
  /** The main thread asks; the worker answers each, in whatever order. */
  readonly requests: Methods;
  /** The main thread says, and expects no answer. */
  readonly commands: Methods;
  /** The worker says of its own accord. */
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

/** The main thread's receivers of events. */
export type EventHandlers<D extends Dialogue> = {
  readonly [N in EventName<D>]: (...args: EventArguments<D, N>) => void;
};

/**
 * An answer, or a function that is called with a means to answer later: promises do
 * nothing on a thread that runs an EventLoop. An answer is never a function itself,
 * because a function cannot be cloned.
 */
export type AnswerOrLater<Value> = Value | ((answer: (value: Value) => void) => void);

/** The worker's part. */
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

/** From the main thread; a command is a request without a number. */
export interface ToWorker {
  readonly name: string;
  readonly args: readonly unknown[];
  /** The number that the answer has. */
  readonly request?: number;
}

/** To the main thread: an event, or the answer to a request. */
export type FromWorker =
  | { readonly event: string; readonly args: readonly unknown[] }
  | { readonly request: number; readonly answer: unknown };

/** What a worker starts with. */
export interface WorkerStart {
  readonly role: string;
  readonly wakeFd: number;
  readonly options: unknown;
}

/**
 * Finds who is to be called for a message. Both sides are checked against the same
 * Dialogue, so the arguments fit.
 * @throws Error if nobody is: then the sides are not of the same program
 */
export function handlerOf(
  handlers: object,
  name: string,
): (...args: readonly unknown[]) => unknown {
  const handler: unknown = Reflect.get(handlers, name);
  if (typeof handler !== "function") throw new Error(`no handler for the message ${name}`);
  return (...args) => Reflect.apply(handler, handlers, args);
}
