/** The arguments of `npm start -- ...`, which are the daemon's. */
import { parseArgs } from "node:util";

export interface StartArguments {
  /** The address of the daemon for clients; undefined for the default. */
  readonly listen: string | undefined;
  /** The control socket for `cm4all-spawn status`; undefined for that of `npm start`. */
  readonly control: string | undefined;
}

/**
 * Parses the arguments. Returns undefined if they rule out the demonstration, because they choose
 * another configuration, a subcommand or help, switch off the reaper, or are wrong; `npm start`
 * then only runs the daemon with them. Pure.
 */
export function parseStartArguments(args: readonly string[]): StartArguments | undefined {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        listen: { type: "string" },
        control: { type: "string" },
        journal: { type: "string" },
        verbose: { type: "boolean", short: "v" },
      },
    });
    return { listen: values.listen, control: values.control };
  } catch {
    return undefined;
  }
}
