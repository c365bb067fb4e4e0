/** The whole command line. Loaded only where `up NAME` and `down NAME` do not match. */
import { collectBytes } from "@cm4all/command/arguments";
import { leaveOutput, runCommand } from "@cm4all/command/run";
import { Command, InvalidArgumentError, Option } from "commander";
import { check } from "./check.ts";
import { down } from "./down.ts";
import { type ExecOptions, exec } from "./exec.ts";
import { asFailure } from "./failures.ts";
import { formatNamespaces, listNamespaces } from "./list.ts";
import { CONFIG_DIRECTORY, CONFIG_FILE, NETNS_DIRECTORY, TEMPLATE_FILE } from "./paths.ts";
import { defaultUpOptions, type UpOptions } from "./request.ts";
import { up } from "./up.ts";

interface UpFlags {
  readonly hostUp: boolean;
  readonly scriptTimeout: number;
}

function toUpOptions({ hostUp, scriptTimeout }: UpFlags): UpOptions {
  return { hostUp, scriptTimeoutMs: scriptTimeout };
}

/** The longest that a timer of Node can be set to. */
const TIMEOUT_MS_MAX = 2 ** 31 - 1;

function parseSeconds(text: string): number {
  const milliseconds = Math.round(Number(text) * 1000);
  if (!/^\d+(\.\d+)?$/.test(text) || milliseconds > TIMEOUT_MS_MAX)
    throw new InvalidArgumentError("It takes a number of seconds, or 0 for no limit.");
  return milliseconds;
}

/** Failed system calls are told of in one line, like all expected failures. */
async function attempt(action: () => void | Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    throw asFailure(error);
  }
}

const description =
  "Network namespaces, connected with the host's by veth pairs, macvlan, ipvlan or VLAN " +
  "links, or with links of the host moved in.\n\n" +
  "NAME is the namespace's name, as ip-netns(8) has it, and that of a pair's end on " +
  "the host; the link inside is named net0.";

const files = `
Files:
${[
  [`${CONFIG_DIRECTORY}/NAME.toml`, "description: links, addresses, routes, ..."],
  [`${CONFIG_DIRECTORY}/setup.d/NAME`, "script that is run inside, last"],
  [TEMPLATE_FILE, "description of names that have neither"],
  [CONFIG_FILE, "the pool of addresses"],
  [`${NETNS_DIRECTORY}/NAME`, "the namespace"],
]
  .map(([path = "", what = ""]) => `  ${path.padEnd(40)}${what}`)
  .join("\n")}

See cm4all-spawn-netns(8).`;

function withUpOptions(command: Command): Command {
  return command
    .option("--no-host-up", "do not set the host's end up")
    .addOption(
      new Option("--script-timeout <seconds>", "end the script when it takes longer; 0: no limit")
        .argParser(parseSeconds)
        .default(defaultUpOptions.scriptTimeoutMs, String(defaultUpOptions.scriptTimeoutMs / 1000)),
    );
}

function makeProgram(): Command {
  const program = new Command("cm4all-spawn-netns")
    .version(__VERSION__)
    .description(description)
    .enablePositionalOptions()
    .addHelpText("after", files);

  withUpOptions(leaveOutput(program.command("up")))
    .summary("make a namespace, all of it or nothing")
    .description(
      "Makes the network namespace and its links, sets up what NAME.toml describes, and " +
        "runs the script. When anything fails, everything is undone.",
    )
    .argument("<name>", "the namespace's and the host link's name, at most 15 bytes")
    .action((name: string, flags: UpFlags) => attempt(() => up(name, toUpOptions(flags))));

  program
    .command("down")
    .summary("delete a namespace")
    .description(
      "Deletes the links, moves back what was moved in, deletes what is the namespace's " +
        "own on the host, and the namespace, whoever made them. Processes in it go on " +
        "without a network. What is gone already is no failure.",
    )
    .argument("<name>", "the namespace's name")
    .action((name: string) => attempt(() => down(name)));

  program
    .command("list")
    .summary("show the namespaces")
    .description("Shows all network namespaces that have a name, with their links.")
    .option("--json", "print JSON")
    .action(({ json }: { json?: true }) =>
      attempt(() => {
        const namespaces = listNamespaces();
        process.stdout.write(
          json === true
            ? `${JSON.stringify(namespaces, undefined, 2)}\n`
            : formatNamespaces(namespaces),
        );
      }),
    );

  leaveOutput(program.command("exec"))
    .summary("run a command in a namespace")
    .description(
      "Runs the command inside the namespace as `ip netns exec` does: with the " +
        "namespace's /sys, and the files in /etc/netns/NAME in the place of those in /etc. " +
        "Ends with the command's exit status.",
    )
    .argument("<name>", "the namespace's name")
    .argument("<command...>", "the command and its arguments", collectBytes)
    .addOption(new Option("--user <user>", "run it as that user").conflicts("sudoUser"))
    .option("--sudo-user", "run it as the user who has called sudo")
    .passThroughOptions()
    .usage("[options] <name> -- <command> [argument...]")
    .action((name: string, command: Buffer[], options: ExecOptions) =>
      attempt(() => exec(name, command, options)),
    );

  withUpOptions(program.command("check"))
    .summary("say what up would do and what is wrong")
    .description(
      "Prints the steps that up would take, or everything that is wrong. Changes nothing. " +
        "Ends with the exit status that up would end with before it makes anything.",
    )
    .argument("<name>", "the namespace's name")
    .action((name: string, flags: UpFlags) =>
      attempt(async () => {
        for (const line of await check(name, toUpOptions(flags))) console.log(line);
      }),
    );
  return program;
}

/** Runs the program on its arguments, and sets the exit status. */
export async function runCli(): Promise<void> {
  await runCommand(makeProgram());
}
