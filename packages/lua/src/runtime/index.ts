/** A script and its handlers: loading, running one handler for each cgroup, reload. */
import type { CgroupSnapshot } from "@cm4all/cgroup";
import { type ByteString, latin1Of } from "@cm4all/linux";
import { LineOutput, newState, writeFully } from "../compat/index.ts";
import { loadFile } from "../compat/load.ts";
import { fromBytes, type LuaState, lua, toBytes, typeName } from "../lua.ts";
import { openCgroup, pushCgroup } from "./cgroup.ts";
import { Scheduler } from "./scheduler.ts";
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
  onError(source: string, failure: ScriptFailure): void;
  /** A message of the database, or of the host, for the log. */
  onNotice?(text: string): void;
  output?: LineOutput;
  /** Opens further libraries. */
  open?(L: LuaState, runtime: Runtime): void;
}

/** The script cannot be used. */
export class ScriptError extends Error {
  override name = "ScriptError";
  readonly traceback: string | undefined;

  constructor({ message, traceback }: ScriptFailure) {
    super(message);
    this.traceback = traceback;
  }
}

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
      onStrayError: (failure) => options.onError("a coroutine", failure),
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
  load(path: string): string | undefined {
    const L = this.#L;
    if (loadFile(L, Buffer.from(path).toString("latin1")) !== lua.LUA_OK) {
      const message = fromBytes(lua.lua_tolstring(L, -1) ?? new Uint8Array());
      lua.lua_pop(L, 1);
      throw new ScriptError({ message });
    }
    const failure = this.scheduler.call("the script", 0);
    if (failure !== undefined) throw new ScriptError(failure);
    const type = lua.lua_getglobal(L, toBytes("cgroup_released"));
    const name = typeName(L, -1);
    lua.lua_setfield(L, lua.LUA_REGISTRYINDEX, HANDLER);
    this.#hasHandler = type === lua.LUA_TFUNCTION;
    if (type === lua.LUA_TNIL)
      return `${path}: function 'cgroup_released' not found: cgroups are deleted, nothing is accounted`;
    if (type !== lua.LUA_TFUNCTION)
      throw new ScriptError({
        message: `${path}: 'cgroup_released' is not a function, but a ${name}`,
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
      `the handler of ${latin1Of(snapshot.path)}`,
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
      const message = `${task.description} did not end within ${handlerTimeoutMs / 1000} s`;
      this.scheduler.cancel(task, { message });
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
      "reload",
      (thread) => {
        lua.lua_getglobal(thread, toBytes("reload"));
        return 0;
      },
      (failure) => {
        const again = this.#reloading === "again";
        this.#reloading = "no";
        if (failure !== undefined) this.options.onError("reload", failure);
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
      this.scheduler.cancel(task, { message: `${task.description} was dropped: shutting down` });
    for (const closable of this.#closables) closable.close();
    this.output.flush();
  }
}
