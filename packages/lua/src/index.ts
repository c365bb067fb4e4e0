/**
 * The daemon's side: script-host.ts has a script host run, host-process.ts starts its
 * process. The script host itself, host.ts, is `@cm4all/lua/host`, to be loaded in its
 * process alone.
 */
export { type CheckResult, checkScript } from "./check.ts";
export type { HandlerShape, Handlers, RunKind } from "./protocol.ts";
export type { Effect, FailureCause } from "./runtime/effects.ts";
export {
  type HostState,
  type Outcome,
  type Run,
  ScriptHost,
  type ScriptHostOptions,
} from "./script-host.ts";
export { type SelectedScript, selectScript } from "./select-script.ts";
