import type { ByteString } from "@cm4all/linux";
import type { LuaState } from "../lua.ts";
import type { Effects, FailureCause } from "./effects.ts";

export type { FailureCause } from "./effects.ts";

/** The reason why a part of a script failed. */
export interface ScriptFailure {
  /** The error that the script raised, or the reason why it was ended. */
  message: ByteString;
  /** The Lua stack where the error was raised. */
  traceback?: ByteString;
}

export interface Closable {
  close(): void;
}

/**
 * Called when a task ends, with its failure. If the task has not failed, a failure that the
 * function returns becomes the failure of the task.
 */
type Ending = (failure: ScriptFailure | undefined) => ScriptFailure | undefined;

/**
 * A run of a function of the script in a coroutine of its own: a handler, `reload`, or a
 * callback. Whatever it has opened is closed when it ends, however it ends.
 */
export class Task {
  readonly thread: LuaState;
  /** For messages: `the handler of /system.slice/...`. */
  readonly description: ByteString;
  /** Undefined for tasks that are never repeated: `reload` and callbacks. */
  readonly effects: Effects | undefined;
  /**
   * The cause that a failure of the task would have now. The database library sets it after each
   * statement: `connection` if there was no session or the session was lost, else `script`.
   */
  cause: FailureCause = "script";
  readonly #closables = new Set<Closable>();
  readonly #endings: Ending[] = [];
  readonly #settle: (failure: ScriptFailure | undefined) => void;
  isFinished = false;
  #failure: ScriptFailure | undefined;

  constructor(
    thread: LuaState,
    description: ByteString,
    effects: Effects | undefined,
    settle: (failure: ScriptFailure | undefined) => void,
  ) {
    this.thread = thread;
    this.description = description;
    this.effects = effects;
    this.#settle = settle;
  }

  /** Closes the object at the end of the task. */
  own(closable: Closable): void {
    if (this.isFinished) closable.close();
    else this.#closables.add(closable);
  }

  /** Calls a function when the task ends, before its objects are closed. */
  atEnd(ending: Ending): void {
    if (this.isFinished) ending(this.#failure);
    else this.#endings.push(ending);
  }

  /**
   * Ends the run, closes the objects that it has left open, and reports the outcome. Only the
   * first call counts.
   * @param failure undefined if the run succeeded
   */
  finish(failure: ScriptFailure | undefined): void {
    if (this.isFinished) return;
    this.isFinished = true;
    this.#failure = failure;
    for (const ending of this.#endings) {
      const late = ending(failure);
      this.#failure ??= late;
    }
    for (const closable of this.#closables) closable.close();
    this.#closables.clear();
    this.#settle(this.#failure);
  }
}
