/**
 * The daemon's side: script-host.ts keeps a script host running, host-session.ts exchanges messages
 * with its process and trusts none of them, host-unit.ts and host-child.ts start the process. The
 * script host itself, host.ts, is `@cm4all/lua/host`, which only that process loads.
 */
export { type CheckResult, checkScript } from "./check.ts";
export type { Outcome, Run } from "./run.ts";
export { type HandlerShape, type Handlers, NO_HANDLERS, type RunKind } from "./run-kinds.ts";
export type { Effect, FailureCause } from "./runtime/effects.ts";
export {
  type HostState,
  ScriptHost,
  type ScriptHostOptions,
} from "./script-host.ts";
export { type SelectedScript, selectScript } from "./select-script.ts";
