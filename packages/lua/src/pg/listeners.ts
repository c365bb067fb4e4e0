/** The callbacks of `db:listen`. */
import { bytesOfText } from "@cm4all/linux";
import { type LuaState, lua, pushText, toBytes } from "../lua.ts";
import type { Runtime } from "../runtime/index.ts";
import { encodeUtf8 } from "./values.ts";

interface Listener {
  /** The key of the function in the registry. */
  readonly key: Uint8Array;
  isRunning: boolean;
  /** The payload of the latest notification that arrived while the callback ran. */
  again: string | undefined;
}

let count = 0;

export class Listeners {
  readonly #runtime: Runtime;
  readonly #listeners = new Map<string, Listener>();

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** Keeps the function at `index` as the callback of a channel. */
  add(L: LuaState, channel: string, index: number): void {
    const key = toBytes(`pg listener ${++count}`);
    lua.lua_pushvalue(L, index);
    lua.lua_setfield(L, lua.LUA_REGISTRYINDEX, key);
    this.#listeners.set(channel, { key, isRunning: false, again: undefined });
  }

  /**
   * Runs the callback. If notifications arrive while it runs, however many, it runs once more
   * afterwards, with the payload of the latest.
   */
  notify(channel: string, payload: string): void {
    const listener = this.#listeners.get(channel);
    if (listener === undefined) return;
    if (listener.isRunning) {
      listener.again = payload;
      return;
    }
    listener.isRunning = true;
    const description = bytesOfText(`the callback of channel ${channel}`);
    this.#runtime.scheduler.start(
      description,
      (thread) => {
        lua.lua_getfield(thread, lua.LUA_REGISTRYINDEX, listener.key);
        pushText(thread, encodeUtf8(channel));
        pushText(thread, encodeUtf8(payload));
        return 2;
      },
      (failure) => {
        listener.isRunning = false;
        if (failure !== undefined) this.#runtime.options.onError(description, failure);
        const { again } = listener;
        listener.again = undefined;
        // Called later, not within this run: a chain of runs must not grow the stack.
        if (again !== undefined) setImmediate(() => this.notify(channel, again));
      },
    );
  }
}
