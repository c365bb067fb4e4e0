/** The libraries that scripts have in addition to Lua's own. */
import type { LuaState } from "../lua.ts";
import { openPg } from "../pg/library.ts";
import type { Runtime } from "../runtime/index.ts";
import { openControlClient } from "./control-client.ts";
import { openSockets } from "./socket.ts";
import { openSodium } from "./sodium.ts";

/** Adds the libraries that the original daemon gives its scripts besides Lua's own. */
export function openLibraries(L: LuaState, runtime: Runtime): void {
  openPg(L, runtime);
  openSockets(L, runtime);
  openControlClient(L, runtime);
  openSodium(L);
}
