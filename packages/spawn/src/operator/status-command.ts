/** `cm4all-spawn status`: its output is for people and programs, its exit status for checks. */
import {
  CommandFailure,
  EX_PROTOCOL,
  EX_TEMPFAIL,
  EX_UNAVAILABLE,
  EX_USAGE,
  inOneLine,
  wrapRows,
  wrapText,
} from "@cm4all/command";
import type { Command } from "commander";
import { type Ask, askFor } from "../control/commands.ts";
import {
  completeStatus,
  type DaemonStatus,
  formatHeadline,
  formatStatus,
} from "../status/status.ts";
import { showName } from "./name-commands.ts";

/** Exit statuses of the action "status" of an init script, from the Linux Standard Base. */
const LSB_RUNNING = 0;
/**
 * The daemon is running, but not well. In the LSB, this exit status is a kind of "dead"; to
 * monitoring programs, it is a "warning".
 */
const DEGRADED = 1;
const LSB_NOT_RUNNING = 3;
const LSB_UNKNOWN = 4;

/** The time between two updates of `status --watch`. */
const WATCH_INTERVAL_MS = 1000;

interface StatusOptions {
  readonly json?: boolean;
  readonly watch?: boolean;
}

/** Adds the subcommand `status`. */
export function declareStatusCommand(program: Command, ask: Ask): void {
  program
    .command("status [name]")
    .summary("show the state of the running daemon, or that of a name")
    .description(
      "Shows whether the running daemon is well, and its metrics; or the state of a name.\n\n" +
        "Exit status: 0 well, 1 degraded, 3 not running, 4 no answer.",
    )
    .option("--json", "as JSON")
    .option("--watch", "update every second, until q or Control-C")
    .action(async (name: string | undefined, options: StatusOptions) => {
      if (name !== undefined) {
        if (options.watch === true)
          throw new CommandFailure("--watch cannot be used with a name", EX_USAGE);
        await showName(ask, name, options, terminalColumns());
      } else if (options.watch === true) await watchStatus(ask, options);
      else await showStatus(ask, options);
    });
}

async function showStatus(ask: Ask, { json }: StatusOptions): Promise<void> {
  let status: DaemonStatus;
  try {
    status = completeStatus(await askFor(ask, "status", {}));
  } catch (error) {
    throw asCheck(error);
  }
  const lines = json === true ? formatJson(status) : formatLines(status, terminalColumns());
  console.log(lines.join("\n"));
  process.exitCode = status.state === "well" ? LSB_RUNNING : DEGRADED;
}

/**
 * Shows the status until the user quits, even while the daemon is not running or does not answer.
 * @throws CommandFailure (rejects) on any other failure
 */
async function watchStatus(ask: Ask, { json }: StatusOptions): Promise<void> {
  const screen = await import("@cm4all/command/screen");
  const { stdin: input, stdout: output } = process;
  const draw = async () => {
    try {
      const status = completeStatus(await askFor(ask, "status", {}));
      return json === true ? formatJson(status) : formatLines(status, terminalColumns());
    } catch (error) {
      const failure = asCheck(error);
      if (!(failure instanceof CommandFailure) || !isPassing(failure)) throw failure;
      const { message } = failure;
      if (json === true) return formatJson({ state: "down", problems: [message] });
      return wrapText(inOneLine(message), terminalColumns() ?? Infinity);
    }
  };
  const fullScreen = output.isTTY && json !== true;
  await screen.watch({ draw, intervalMs: WATCH_INTERVAL_MS, fullScreen, input, output });
}

function isPassing({ exitStatus }: CommandFailure): boolean {
  return exitStatus === LSB_NOT_RUNNING || exitStatus === LSB_UNKNOWN;
}

/** Returns the failure with the exit status that the LSB defines for it. */
function asCheck(error: unknown): unknown {
  if (!(error instanceof CommandFailure)) return error;
  const { message, exitStatus, cause } = error;
  if (exitStatus === EX_UNAVAILABLE) return new CommandFailure(message, LSB_NOT_RUNNING, { cause });
  if (exitStatus === EX_TEMPFAIL || exitStatus === EX_PROTOCOL)
    return new CommandFailure(message, LSB_UNKNOWN, { cause });
  return error;
}

function formatJson(status: object): string[] {
  return JSON.stringify(status, undefined, 2).split("\n");
}

function formatLines(status: DaemonStatus, columns: number | undefined): string[] {
  return [
    ...wrapText(formatHeadline(status), columns ?? Infinity),
    ...wrapRows(formatStatus(status), columns),
  ];
}

/** Returns the width of the terminal; undefined if lines may have any width. */
function terminalColumns(): number | undefined {
  const { isTTY, columns } = process.stdout;
  // A terminal of unknown size has 0 columns.
  return isTTY && columns > 0 ? columns : undefined;
}
