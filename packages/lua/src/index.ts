/** The daemon's side. The script host itself is `@cm4all/lua/host`, to be loaded in its process alone. */
export { type CheckResult, checkScript } from "./check.ts";
export {
  type HostState,
  type Outcome,
  ScriptHost,
  type ScriptHostOptions,
} from "./script-host.ts";
export { type SelectedScript, selectScript } from "./select-script.ts";
