/** A script and its handlers: loading, running one handler for each cgroup, reload. */
import type { CgroupSnapshot } from "@cm4all/cgroup";
import {
  type ByteString,
  bytesOf,
  bytesOfText,
  concatBytes,
  latin1Of,
  textOf,
} from "@cm4all/linux";
import { LineOutput, newState, writeFully } from "../compat/index.ts";
import { loadFile } from "../compat/load.ts";
import { type LuaState, lua, toBytes, typeName } from "../lua.ts";
import { openCgroup, pushCgroup } from "./cgroup.ts";
import { A_COROUTINE, Scheduler } from "./scheduler.ts";
import type { Closable, ScriptFailure, Task } from "./task.ts";

export type { ScriptFailure } from "./task.ts";

export interface RuntimeOptions {
  /** Where cgroup2 is mounted. */
  cgroupRoot: ByteString;
  /** Instructions that a coroutine may run between two waits. */
  instructions: number;
  /** How long a handler may take all in all, most of which it will have waited. */
  handlerTimeoutMs: number;
  /** A failure that belongs to no handler: of `reload`, a callback, a stray coroutine. */
  onError(source: ByteString, failure: ScriptFailure): void;
  /** A message of the database, or of the host, for the log. */
  onNotice?(text: ByteString): void;
  output?: LineOutput;
  /** Opens further libraries. */
  open?(L: LuaState, runtime: Runtime): void;
}

/** The script cannot be used. */
export class ScriptError extends Error {
  override name = "ScriptError";
  readonly failure: ScriptFailure;

  constructor(failure: ScriptFailure) {
    super(textOf(failure.message));
    this.failure = failure;
  }
}

const RELOAD = bytesOfText("reload");
const WAS_DROPPED = bytesOfText(" was dropped: shutting down");

const HANDLER = toBytes("the handler");

export class Runtime {
  readonly scheduler: Scheduler;
  readonly output: LineOutput;
  readonly options: RuntimeOptions;
  readonly #L: LuaState;
  readonly #closables = new Set<Closable>();
  #reloading: "no" | "running" | "again" = "no";
  #hasHandler = false;

  constructor(options: RuntimeOptions) {
    this.options = options;
    this.output = options.output ?? new LineOutput((text) => writeFully(1, text));
    this.scheduler = new Scheduler({
      instructions: options.instructions,
      onStrayError: (failure) => options.onError(A_COROUTINE, failure),
    });
    this.#L = newState({ output: this.output, coroutines: this.scheduler });
    this.scheduler.attach(this.#L);
    openCgroup(this.#L);
    options.open?.(this.#L, this);
  }

  /** Whether the script has given a handler; without one there is nothing to run. */
  get hasHandler(): boolean {
    return this.#hasHandler;
  }

  /**
   * Runs the script and takes its handler.
   * @returns a warning where the script can be used, but probably not as it was meant
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
    const type = lua.lua_getglobal(L, toBytes("cgroup_released"));
    const name = typeName(L, -1);
    lua.lua_setfield(L, lua.LUA_REGISTRYINDEX, HANDLER);
    this.#hasHandler = type === lua.LUA_TFUNCTION;
    if (type === lua.LUA_TNIL)
      return bytesOfText(
        `${path}: function 'cgroup_released' not found: cgroups are deleted, nothing is accounted`,
      );
    if (type !== lua.LUA_TFUNCTION)
      throw new ScriptError({
        message: bytesOfText(`${path}: 'cgroup_released' is not a function, but a ${name}`),
      });
    return undefined;
  }

  /** Runs the handler for one cgroup. @param settle called once, when it ended */
  run(snapshot: CgroupSnapshot, settle: (failure: ScriptFailure | undefined) => void): void {
    if (lua.lua_getfield(this.#L, lua.LUA_REGISTRYINDEX, HANDLER) !== lua.LUA_TFUNCTION) {
      lua.lua_pop(this.#L, 1);
      settle(undefined);
      return;
    }
    lua.lua_pop(this.#L, 1);
    let timer: NodeJS.Timeout | undefined;
    const task = this.scheduler.start(
      concatBytes(bytesOfText("the handler of "), snapshot.path),
      (thread, started) => {
        lua.lua_getfield(thread, lua.LUA_REGISTRYINDEX, HANDLER);
        pushCgroup(thread, snapshot, started, this.options.cgroupRoot);
        return 1;
      },
      (failure) => {
        clearTimeout(timer);
        settle(failure);
      },
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
   * Calls the script's function `reload`, where it has one. While it runs, any number of
   * further calls become one more run afterwards.
   */
  reload(): void {
    if (this.#reloading !== "no") {
      this.#reloading = "again";
      return;
    }
    const L = this.#L;
    const type = lua.lua_getglobal(L, toBytes("reload"));
    lua.lua_pop(L, 1);
    if (type === lua.LUA_TNIL) return;
    this.#reloading = "running";
    this.scheduler.start(
      RELOAD,
      (thread) => {
        lua.lua_getglobal(thread, toBytes("reload"));
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

  /** Has something closed at the latest when the runtime is. */
  own(closable: Closable): void {
    this.#closables.add(closable);
  }

  disown(closable: Closable): void {
    this.#closables.delete(closable);
  }

  /** Drops everything that waits, without running any more Lua code. */
  close(): void {
    for (const task of this.scheduler.tasks)
      this.scheduler.cancel(task, { message: concatBytes(task.description, WAS_DROPPED) });
    for (const closable of this.#closables) closable.close();
    this.output.flush();
  }
}
