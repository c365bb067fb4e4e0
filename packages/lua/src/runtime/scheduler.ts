/**
 * Runs coroutines from the event loop: starts them, resumes them after their waits, and bounds
 * what they may compute between two waits.
 *
 * Invariants: Lua code runs only in `#resume` and in `call`. A thread has at most one wait;
 * whatever resumes the thread removes its wait, so that a late result finds none.
 */
import { type ByteString, bytesOf, bytesOfLatin1, bytesOfText, latin1Of } from "@cm4all/linux";
import { budget } from "../compat/budget.ts";
import type { CoroutineWatcher } from "../compat/index.ts";
import { checkMemory, OutOfMemory } from "../compat/memory.ts";
import { raiseInVm } from "../compat/raise-in-vm.ts";
import {
  fromBytes,
  type LuaState,
  lauxlib,
  lua,
  raise,
  raiseError,
  toBytes,
  toText,
  typeName,
} from "../lua.ts";
import type { Effects } from "./effects.ts";
import { RunClock } from "./run-clock.ts";
import { type ScriptFailure, Task } from "./task.ts";

/** The number of instructions between two checks of time and memory. */
const PAUSE_EVERY = 4096;

/** The description of a coroutine that belongs to no task. */
export const A_COROUTINE = bytesOfText("a coroutine");

export interface SchedulerOptions {
  /** Instructions between two waits. */
  instructions: number;
  /** Called when a coroutine fails and neither a task nor a script waits for its end. */
  onStrayError(failure: ScriptFailure): void;
}

interface Wait {
  task: Task | undefined;
  /** Called when the result is no longer needed. */
  abandon: (() => void) | undefined;
}

export interface Suspension<T> {
  result: Promise<T>;
  /** Pushes what the suspended function returns, or raises an error. */
  push(L: LuaState, result: T): number;
  /** Called if the coroutine stops waiting before there is a result. */
  abandon?: () => void;
}

export class Scheduler implements CoroutineWatcher {
  readonly #options: SchedulerOptions;
  readonly #tasks = new Map<LuaState, Task>();
  readonly #waits = new Map<LuaState, Wait>();
  #current: Task | undefined;
  #main: LuaState | undefined;
  /** The error that the first instruction beyond the budget raised. */
  #exhaustion: string | undefined;
  #clock: RunClock | undefined;
  #startMs = 0;

  constructor(options: SchedulerOptions) {
    this.#options = options;
  }

  /** Takes charge of a state; to be called before any code runs in it. */
  attach(L: LuaState): void {
    this.#main = L;
    // Coroutines inherit the mask, which makes Lua count each instruction.
    L.hookmask = lua.LUA_MASKCOUNT;
  }

  /** The task whose code is running; undefined in the main chunk. */
  get current(): Task | undefined {
    return this.#current;
  }

  /**
   * Runs a function in a coroutine of its own; returns when the function waits or ends.
   * @param push pushes the function and its arguments, returns the number of arguments; if it
   * throws OutOfMemory, the task has failed
   * @param settle called once, when the function has ended
   * @param effects undefined for a task that is never repeated
   */
  start(
    description: ByteString,
    push: (thread: LuaState, task: Task) => number,
    settle: (failure: ScriptFailure | undefined) => void,
    effects?: Effects,
  ): Task {
    const L = this.#mainState();
    const thread = lua.lua_newthread(L);
    lua.lua_pop(L, 1);
    const task = new Task(thread, description, effects, settle);
    this.#tasks.set(thread, task);
    let args: number;
    try {
      args = push(thread, task);
    } catch (error) {
      this.#finish(task, refusedMemory(error));
      return task;
    }
    this.#resume(thread, task, args);
    return task;
  }

  /** Calls a function in the main state, in which nothing can wait. */
  call(description: ByteString, args: number): ScriptFailure | undefined {
    const L = this.#mainState();
    const handler = lua.lua_gettop(L) - args;
    lua.lua_pushcfunction(L, addTraceback);
    lua.lua_insert(L, handler);
    const status = this.#measured(description, () => lua.lua_pcall(L, args, 0, handler));
    let failure: ScriptFailure | undefined;
    if (status !== lua.LUA_OK) {
      const described = lua.lua_touserdata(L, -1) as Partial<ScriptFailure> | null;
      const { message = luaErrorText(L), traceback } = described ?? {};
      failure = { message, ...(traceback === undefined ? {} : { traceback }) };
      lua.lua_pop(L, 1);
    }
    lua.lua_remove(L, handler);
    return failure;
  }

  /**
   * Suspends the running coroutine until there is a result. The library function returns what
   * this method returns. If the coroutine cannot be suspended, an error is raised, and `begin` is
   * not called.
   */
  suspend<T>(L: LuaState, begin: () => Suspension<T>): number {
    if (!lua.lua_isyieldable(L)) return raise(L, "attempt to yield across C-call boundary");
    const base = lua.lua_gettop(L);
    const { result, push, abandon } = begin();
    const wait: Wait = { task: this.#current, abandon };
    this.#waits.set(L, wait);
    let finish: (() => number) | undefined;
    result.then(
      (value) =>
        this.#wake(L, wait, () => {
          finish = () => push(L, value);
        }),
      (error: unknown) =>
        this.#wake(L, wait, () => {
          finish = () => raiseError(L, error);
        }),
    );
    // If the script resumes the coroutine by a call of its own, the function returns the arguments
    // of that call.
    return lua.lua_yieldk(L, 0, undefined, () => finish?.() ?? lua.lua_gettop(L) - base);
  }

  /** Ends a task that waits, with this failure. */
  cancel(task: Task, failure: ScriptFailure): void {
    this.#finish(task, failure);
  }

  /**
   * Ends a task. If the task has failed, the waits of its coroutines end, too, because the task may
   * be repeated.
   */
  #finish(task: Task, failure: ScriptFailure | undefined): void {
    this.#tasks.delete(task.thread);
    if (failure !== undefined)
      for (const [thread, wait] of this.#waits) if (wait.task === task) this.#removeWait(thread);
    task.finish(failure);
  }

  /**
   * Forgets all waits, so that no coroutine is resumed by a result any more, not even if its task
   * has ended. What was begun is not abandoned: its owner closes it.
   */
  forgetWaits(): void {
    this.#waits.clear();
  }

  /** The tasks that have not ended. */
  get tasks(): Iterable<Task> {
    return [...this.#tasks.values()];
  }

  /**
   * Resumes a thread. If a handler was started in the thread, or was running when the thread began
   * to wait, the thread's effects count as that handler's, even if another handler resumes it.
   */
  resume(thread: LuaState, run: () => number): number {
    const previous = this.#current;
    this.#current = this.#waits.get(thread)?.task ?? this.#tasks.get(thread) ?? previous;
    this.#removeWait(thread);
    try {
      return run();
    } finally {
      this.#current = previous;
    }
  }

  ended(thread: LuaState, failed: boolean): void {
    const task = this.#tasks.get(thread);
    if (task === undefined) return;
    this.#finish(task, failed ? this.#describe(thread) : undefined);
  }

  #wake(thread: LuaState, wait: Wait, prepare: () => void): void {
    if (this.#waits.get(thread) !== wait) return;
    this.#waits.delete(thread);
    prepare();
    this.#resume(thread, wait.task, 0);
  }

  #removeWait(thread: LuaState): void {
    const wait = this.#waits.get(thread);
    if (wait === undefined) return;
    this.#waits.delete(thread);
    wait.abandon?.();
  }

  #resume(thread: LuaState, task: Task | undefined, args: number): void {
    const previous = this.#current;
    this.#current = task;
    try {
      const status = this.#measured(task?.description ?? A_COROUTINE, () =>
        lua.lua_resume(thread, null, args),
      );
      if (status === lua.LUA_YIELD) {
        // Nobody receives the values that the thread yielded.
        lua.lua_settop(thread, 0);
        return;
      }
      const failed = status !== lua.LUA_OK;
      if (failed && !this.#tasks.has(thread)) this.#options.onStrayError(this.#describe(thread));
      this.ended(thread, failed);
    } finally {
      this.#current = previous;
    }
  }

  /** Runs Lua code within the budget. */
  #measured(description: ByteString, run: () => number): number {
    this.#exhaustion = undefined;
    this.#clock = undefined;
    this.#startMs = performance.now();
    budget.left = this.#options.instructions;
    budget.pauseAt = Math.max(budget.left - PAUSE_EVERY, 0);
    budget.pause = (L) => this.#pause(L, description);
    try {
      return run();
    } finally {
      budget.left = Number.POSITIVE_INFINITY;
      budget.pauseAt = 0;
    }
  }

  /** Checks what the code has used up: instructions, time and memory. */
  #pause(L: LuaState, description: ByteString): void {
    if (budget.left < 0)
      this.#exhausted(L, description, `ran ${this.#options.instructions} instructions`);
    this.#clock ??= new RunClock(this.#startMs);
    const seconds = this.#clock.secondsIfTooLong();
    if (seconds !== undefined) {
      budget.left = -1;
      this.#exhausted(L, description, `ran for ${seconds} seconds`);
    }
    budget.pauseAt = Math.max(budget.left - PAUSE_EVERY, 0);
    checkMemory();
  }

  /**
   * Raises an error, and the same error again at each further instruction, so that a script
   * cannot go on by catching it.
   */
  #exhausted(L: LuaState, description: ByteString, whatItDid: string): never {
    this.#exhaustion ??=
      `${position(L)}${latin1Of(description)} ${whatItDid} ` +
      "without waiting for anything: stopped";
    return raiseInVm(L, toBytes(this.#exhaustion));
  }

  #describe(thread: LuaState): ScriptFailure {
    const L = this.#mainState();
    const top = lua.lua_gettop(L);
    try {
      const message = luaErrorText(thread);
      lauxlib.luaL_traceback(L, thread, null, 0);
      const traceback = bytesOfLatin1(toText(L, -1) ?? "");
      return { message, traceback };
    } catch (error) {
      return refusedMemory(error);
    } finally {
      lua.lua_settop(L, top);
    }
  }

  #mainState(): LuaState {
    if (this.#main === undefined) throw new Error("the scheduler has no state");
    return this.#main;
  }
}

/**
 * Returns the failure of a task for which we ourselves were refused memory. OutOfMemory becomes an
 * error of the script only in functions that Lua calls.
 * @throws any other error
 */
function refusedMemory(error: unknown): ScriptFailure {
  if (!(error instanceof OutOfMemory)) throw error;
  return { message: bytesOfText(error.message) };
}

/** Returns `file:line: ` of the innermost function that is written in Lua. */
function position(L: LuaState): string {
  const ar = new lua.lua_Debug();
  for (let level = 0; lua.lua_getstack(L, level, ar) > 0; level++) {
    lua.lua_getinfo(L, toBytes("Sl"), ar);
    if (ar.currentline > 0 && ar.short_src !== null)
      return `${fromBytes(ar.short_src)}:${ar.currentline}: `;
  }
  return "";
}

/** Returns the text of the error value on top of the stack, or the name of its type. */
function luaErrorText(L: LuaState): ByteString {
  const type = lua.lua_type(L, -1);
  if (type !== lua.LUA_TSTRING && type !== lua.LUA_TNUMBER) return bytesOfText(typeName(L, -1));
  return bytesOf(lua.lua_tolstring(L, -1) ?? toBytes(""));
}

/** Turns the error value into a ScriptFailure with a traceback; a message handler of Lua. */
function addTraceback(L: LuaState): number {
  const message = luaErrorText(L);
  lauxlib.luaL_traceback(L, L, null, 1);
  const traceback = bytesOfLatin1(toText(L, -1) ?? "");
  lua.lua_pushlightuserdata(L, { message, traceback } satisfies ScriptFailure);
  return 1;
}
