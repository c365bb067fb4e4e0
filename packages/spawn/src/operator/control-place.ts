/** Finds the control socket of the running daemon, even if the configuration has a mistake. */
import { CommandFailure, EX_CONFIG, EX_NOINPUT } from "@cm4all/command";
import { DEFAULT_CONTROL_SOCKET } from "../config/operator.ts";
import { readConfig } from "../config.ts";

export interface ControlPlace {
  /** The path of the control socket; empty if there is none. */
  readonly path: string;
  /** Why the configuration cannot be used; `path` is then the default. */
  readonly mistake?: CommandFailure;
}

/**
 * Returns the path of the control socket. If the configuration has a mistake, returns the default
 * path: the daemon may still be running with an earlier configuration, which most likely has the
 * default path.
 * @param config the configuration file; undefined for the default
 * @param control the path on the command line, which takes precedence
 * @throws errors other than those about a mistake in the configuration or an unreadable file
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
