/** Where commands find the running daemon, also if the configuration has a mistake. */
import { CommandFailure, EX_CONFIG, EX_NOINPUT } from "@cm4all/command";
import { DEFAULT_CONTROL_SOCKET } from "../config/operator.ts";
import { readConfig } from "../config.ts";

export interface ControlPlace {
  /** The administrators' socket; empty for none. */
  readonly path: string;
  /** Why the configuration cannot be used, and `path` is the default. */
  readonly mistake?: CommandFailure;
}

/**
 * The daemon runs on with the configuration that it had before the mistake, and most likely with
 * the default socket.
 * @param control of the command line, which wins
 */
export function findControl(config: string | undefined, control: string | undefined): ControlPlace {
  if (control !== undefined) return { path: control };
  try {
    return { path: readConfig(config).control.socket };
  } catch (error) {
    if (!(error instanceof CommandFailure)) throw error;
    const { exitStatus } = error;
    if (exitStatus !== EX_CONFIG && exitStatus !== EX_NOINPUT) throw error;
    return { path: DEFAULT_CONTROL_SOCKET, mistake: error };
  }
}
