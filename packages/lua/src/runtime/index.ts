/** A script and its handlers: loading, running handlers for cgroups, reload. */
import type { CgroupRecord } from "@cm4all/cgroup";
import { type ByteString, bytesOf, bytesOfText, concatBytes, latin1Of } from "@cm4all/linux";
import {
  type EffectGate,
  endStreams,
  LineOutput,
  newState,
  OpenFiles,
  writeFully,
} from "../compat/index.ts";
import { loadFile } from "../compat/load.ts";
import { type LuaState, lua } from "../lua.ts";
import { type Handlers, NO_HANDLERS, type RunKind } from "../run-kinds.ts";
import { openCgroup, pushCgroup, pushCgroups } from "./cgroup.ts";
import { effectGate } from "./effect-gate.ts";
import { type BeginRequest, type Effect, type FailureCause, RunEffects } from "./effects.ts";
import { pushGlobal, pushHandler, takeHandlers } from "./handlers.ts";
import { A_COROUTINE, Scheduler } from "./scheduler.ts";
import { ScriptError } from "./script-error.ts";
import type { Closable, ScriptFailure, Task } from "./task.ts";

export { ScriptError } from "./script-error.ts";
export type { ScriptFailure } from "./task.ts";

export interface RuntimeOptions {
  /** Instructions that a coroutine may run between two waits. */
  instructions: number;
  /** The time that a handler may take altogether, including its waits. */
  handlerTimeoutMs: number;
  /**
   * Called with a failure that belongs to no handler: of `reload`, of a callback, or of a coroutine
   * whose end nobody waits for.
   */
  onError(source: ByteString, failure: ScriptFailure): void;
  /** Called with a message of the database, or of the script host, for the log. */
  onNotice?(text: ByteString): void;
  /** Called if standard output cannot be written; the script continues. */
  onOutputLost?(error: unknown): void;
  output?: LineOutput;
  /** Opens further libraries. */
  open?(L: LuaState, runtime: Runtime): void;
}

/** The failure of a handler. */
export interface RunFailure extends ScriptFailure {
  /** The effect that the handler had had outside the process when it failed. */
  readonly effect: Effect;
  readonly cause: FailureCause;
}

/**
 * The time to wait for the answers to requests that were withdrawn or cancelled when a run
 * failed.
 */
const ANSWER_MS = 5000;

const RELOAD = bytesOfText("reload");
const WAS_DROPPED = bytesOfText(" was dropped: shutting down");

export class Runtime {
  readonly scheduler: Scheduler;
  readonly output: LineOutput;
  readonly options: RuntimeOptions;
  /** The gate for libraries that have effects outside the process. */
  readonly gate: EffectGate;
  readonly #L: LuaState;
  readonly #files = new OpenFiles();
  readonly #closables = new Set<Closable>();
  #reloading: "no" | "running" | "again" = "no";
  #handlers = NO_HANDLERS;

  constructor(options: RuntimeOptions) {
    this.options = options;
    this.output = options.output ?? new LineOutput((text) => this.#print(text));
    this.scheduler = new Scheduler({
      instructions: options.instructions,
      onStrayError: (failure) => options.onError(A_COROUTINE, failure),
    });
    this.gate = effectGate(this.scheduler);
    this.#L = newState({
      output: this.output,
      coroutines: this.scheduler,
      gate: this.gate,
      files: this.#files,
    });
    this.scheduler.attach(this.#L);
    openCgroup(this.#L);
    options.open?.(this.#L, this);
  }

  /** The handlers that the script has defined; none before the script has been loaded. */
  get handlers(): Handlers {
    return this.#handlers;
  }

  /**
   * Runs the script and takes its handlers.
   * @returns a warning if the script can be used, but probably does not do what its author
   * meant
   * @throws ScriptError
   */
  load(path: string): ByteString | undefined {
    const L = this.#L;
    if (loadFile(L, latin1Of(bytesOfText(path))) !== lua.LUA_OK) {
      const message = bytesOf(lua.lua_tolstring(L, -1) ?? new Uint8Array());
      lua.lua_pop(L, 1);
      throw new ScriptError({ message });
    }
    const failure = this.scheduler.call(bytesOfText("the script"), 0);
    if (failure !== undefined) throw new ScriptError(failure);
    const { handlers, warning } = takeHandlers(L, this.scheduler, path);
    this.#handlers = handlers;
    return warning;
  }

  /**
   * Runs the handler for some cgroups; only for the first one if the handler takes no list.
   * @param request asks before the first effect
   * @param settle called once, when the handler has ended; after a failure, only when everything
   * that the handler has sent has been answered, or 5 s have passed
   */
  run(
    kind: RunKind,
    records: readonly CgroupRecord[],
    request: BeginRequest,
    settle: (failure: RunFailure | undefined) => void,
  ): void {
    const shape = this.#handlers[kind];
    const [first, ...others] = records;
    if (shape === "none" || first === undefined) {
      settle(undefined);
      return;
    }
    const effects = new RunEffects(this.#handlers.bearsRepetition ? undefined : request);
    let run: Task | undefined;
    let timer: NodeJS.Timeout | undefined;
    const task = this.scheduler.start(
      describe(first, others.length),
      (thread, started) => {
        run = started;
        pushHandler(thread, kind);
        if (shape === "list") pushCgroups(thread, records, started);
        else pushCgroup(thread, first, started);
        return 1;
      },
      (failure) => {
        clearTimeout(timer);
        if (failure === undefined) {
          settle(undefined);
          return;
        }
        const cause = run?.cause ?? "script";
        effects.whenAnswered(ANSWER_MS, () => settle({ ...failure, effect: effects.state, cause }));
      },
      effects,
    );
    if (!task.isFinished) timer = this.#limit(task);
  }

  #limit(task: Task): NodeJS.Timeout {
    const { handlerTimeoutMs } = this.options;
    return setTimeout(() => {
      const fate = bytesOfText(` did not end within ${handlerTimeoutMs / 1000} s`);
      this.scheduler.cancel(task, { message: concatBytes(task.description, fate) });
    }, handlerTimeoutMs);
  }

  /**
   * Calls the script's function `reload`, if it has one. If this method is called while `reload`
   * runs, `reload` runs once more afterwards, however often this method was called.
   */
  reload(): void {
    if (this.#reloading !== "no") {
      this.#reloading = "again";
      return;
    }
    const L = this.#L;
    pushGlobal(L, this.scheduler, "reload");
    if (lua.lua_type(L, -1) === lua.LUA_TNIL) {
      lua.lua_pop(L, 1);
      return;
    }
    this.#reloading = "running";
    this.scheduler.start(
      RELOAD,
      (thread) => {
        lua.lua_xmove(L, thread, 1);
        return 0;
      },
      (failure) => {
        const again = this.#reloading === "again";
        this.#reloading = "no";
        if (failure !== undefined) this.options.onError(RELOAD, failure);
        if (again) this.reload();
      },
    );
  }

  /** Notes an object that has to be closed together with the runtime, unless it is disowned. */
  own(closable: Closable): void {
    this.#closables.add(closable);
  }

  /** Forgets an object that was closed, or that the caller closes now. */
  disown(closable: Closable): void {
    this.#closables.delete(closable);
  }

  /** Ends all runs, without running any further code of theirs. */
  drop(): void {
    for (const task of this.scheduler.tasks)
      this.scheduler.cancel(task, { message: concatBytes(task.description, WAS_DROPPED) });
  }

  /** Drops all runs, and closes everything that is open. */
  close(): void {
    this.drop();
    // Closing a connection ends the waits for its answers.
    this.scheduler.forgetWaits();
    for (const closable of this.#closables) closable.close();
    endStreams(this.output, this.#files);
  }

  #print(text: string): void {
    try {
      writeFully(1, text);
    } catch (error) {
      this.options.onOutputLost?.(error);
      throw error;
    }
  }
}

/** Returns `the handler of /system.slice/...`, for messages. */
function describe({ snapshot }: CgroupRecord, others: number): ByteString {
  const more = others === 0 ? "" : ` and ${others} more`;
  return concatBytes(bytesOfText("the handler of "), snapshot.path, bytesOfText(more));
}
