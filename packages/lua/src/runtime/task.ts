import type { ByteString } from "@cm4all/linux";
import type { LuaState } from "../lua.ts";
import type { Effects, FailureCause } from "./effects.ts";

export type { FailureCause } from "./effects.ts";

/** Why a piece of a script did not come to its end. */
export interface ScriptFailure {
  /** What the script raised, or what happened to it. */
  message: ByteString;
  /** The Lua stack where it was raised. */
  traceback?: ByteString;
}

export interface Closable {
  close(): void;
}

/** Called with the failure of a task that ended. What it returns is one of a task that had none. */
type Ending = (failure: ScriptFailure | undefined) => ScriptFailure | undefined;

/**
 * One run of a script's function in a coroutine of its own: a handler, `reload`, or
 * a callback. What it opened is closed when it ends, however it ends.
 */
export class Task {
  readonly thread: LuaState;
  /** For messages: `the handler of /system.slice/...`. */
  readonly description: ByteString;
  /** Undefined for what is never repeated: `reload` and callbacks. */
  readonly effects: Effects | undefined;
  /**
   * What a failure of the task would be due to. The database's library sets it after each
   * statement: `connection` if there was no session or it was lost, else `script`.
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

  /** Has the object closed at the end of the task. */
  own(closable: Closable): void {
    if (this.isFinished) closable.close();
    else this.#closables.add(closable);
  }

  /** Has something called when the task ends, before what it owns is closed. */
  atEnd(ending: Ending): void {
    if (this.isFinished) ending(this.#failure);
    else this.#endings.push(ending);
  }

  /**
   * Ends the run, closes what it has left open, and tells how it went. Only the first call
   * counts.
   * @param failure undefined if it succeeded
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
