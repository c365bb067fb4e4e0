/**
 * The subcommands of `cm4all-spawn` that ask the running daemon over its control socket.
 * Each says in one place what its request has, how the daemon answers it, and how the
 * answer is shown.
 */
import type { Command } from "commander";
import type { AccountingRecords } from "./accounting/records.ts";
import type { NamespaceThread } from "./namespaces/thread.ts";
import { type DaemonStatus, formatStatus } from "./status.ts";

/** What of the daemon can be asked. */
export interface DaemonParts {
  readonly namespaces: NamespaceThread;
  /** Undefined if it has no journal: it reaps no cgroups. */
  readonly accounting: AccountingRecords | undefined;
  status(): Promise<DaemonStatus>;
}

/** `Answer` has to be what JSON can hold. */
interface ControlCommand<Fields extends object, Answer> {
  readonly description: string;
  /** Takes its fields from a request, and leaves alone what else is in it. Pure. */
  readonly parse: (request: object) => Fields;
  readonly answer: (daemon: DaemonParts, fields: Fields) => Promise<Answer>;
  /** Gives the subcommand its options, and the action that asks and shows the answer. */
  readonly declare: (subcommand: Command, ask: (fields: Fields) => Promise<Answer>) => void;
}

function define<Fields extends object, Answer>(
  command: ControlCommand<Fields, Answer>,
): ControlCommand<Fields, Answer> {
  return command;
}

const DEFINITIONS = {
  status: define({
    description: "show what the running daemon has",
    parse: () => ({}),
    answer: (daemon) => daemon.status(),
    declare: (subcommand, ask) =>
      subcommand
        .option("--json", "as JSON")
        .option("--watch", "again every second, until q or Control-C")
        .action((options: StatusOptions) => showStatus(() => ask({}), options)),
  }),
  "purge-namespaces": define({
    description: "end the names of the running daemon with all processes in their PID namespaces",
    parse: (request) => ({ onlyIdle: "onlyIdle" in request && request.onlyIdle === true }),
    answer: (daemon, { onlyIdle }) => daemon.namespaces.request("purge", onlyIdle),
    declare: (subcommand, ask) =>
      subcommand
        .option("--idle", "only names that are not leased and in which no process runs")
        .action(async ({ idle = false }: { readonly idle?: boolean }) => {
          const { ended, left } = await ask({ onlyIdle: idle });
          console.log(`ended ${ended} names, ${left} are left`);
        }),
  }),
};

type Definitions = typeof DEFINITIONS;
type Name = keyof Definitions;
type Fields = { [N in Name]: ReturnType<Definitions[N]["parse"]> };
type Answers = { [N in Name]: Awaited<ReturnType<Definitions[N]["answer"]>> };

const COMMANDS: { readonly [N in Name]: ControlCommand<Fields[N], Answers[N]> } = DEFINITIONS;

/** A request from the control socket: the name of its command, and the fields of that. */
export type ControlRequest<N extends Name = Name> = {
  [Each in N]: { readonly command: Each } & Readonly<Fields[Each]>;
}[N];

function requestOf<N extends Name>(command: N, fields: Fields[N]): ControlRequest<N> {
  return { command, ...fields };
}

function parseAs<N extends Name>(command: N, request: object): ControlRequest<N> {
  return requestOf(command, COMMANDS[command].parse(request));
}

/** @throws Error for anything that is no request. Pure. */
export function parseRequest(line: string): ControlRequest {
  const request: unknown = JSON.parse(line);
  if (typeof request !== "object" || request === null || !("command" in request))
    throw new Error("a request is an object with a command");
  const { command } = request;
  if (!isName(command)) throw new Error(`unknown command: ${String(command)}`);
  return parseAs(command, request);
}

function isName(name: unknown): name is Name {
  return typeof name === "string" && Object.hasOwn(COMMANDS, name);
}

/** Answers a request, on the daemon's main thread. */
export function answerRequest<N extends Name>(
  daemon: DaemonParts,
  request: ControlRequest<N>,
): Promise<Answers[N]> {
  // A request has the fields of its command; TypeScript does not follow that.
  return COMMANDS[request.command].answer(daemon, request as Fields[N]);
}

/**
 * Adds the subcommands to the command line.
 * @param ask sends a request to the running daemon, and returns its answer
 */
export function declareControlCommands(
  program: Command,
  ask: (request: object) => Promise<unknown>,
): void {
  const declare = <N extends Name>(name: N) => {
    const { description, declare } = COMMANDS[name];
    const subcommand = program.command(name).description(description);
    // The daemon's answer, from the same program.
    declare(subcommand, (fields) => ask(requestOf(name, fields)) as Promise<Answers[N]>);
  };
  for (const name of Object.keys(COMMANDS)) if (isName(name)) declare(name);
}

/** Between two looks of `status --watch`. */
const WATCH_INTERVAL_MS = 1000;

interface StatusOptions {
  readonly json?: boolean;
  readonly watch?: boolean;
}

async function showStatus(
  ask: () => Promise<DaemonStatus>,
  { json, watch }: StatusOptions,
): Promise<void> {
  const lines = async () => {
    const status = await ask();
    return json === true ? JSON.stringify(status, undefined, 2).split("\n") : formatStatus(status);
  };
  if (watch !== true) {
    console.log((await lines()).join("\n"));
    return;
  }
  const screen = await import("@cm4all/command/screen");
  const { stdin: input, stdout: output } = process;
  const fullScreen = output.isTTY && json !== true;
  await screen.watch({ draw: lines, intervalMs: WATCH_INTERVAL_MS, fullScreen, input, output });
}
