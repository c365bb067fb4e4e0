/** The arguments of `npm start -- ...`, which are the daemon's. */
import { parseArgs } from "node:util";

export interface StartArguments {
  /** Where clients find the daemon, unless it is the default. */
  readonly listen: string | undefined;
  /** Where `cm4all-spawn status` finds it, unless it is the default. */
  readonly control: string | undefined;
}

/**
 * Undefined where they ask for something that we cannot show: a configuration of one's
 * own, no reaper, a subcommand, help. Then they are for the daemon alone. Pure.
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
