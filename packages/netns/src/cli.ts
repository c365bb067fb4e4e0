/** The complete command line. Loaded unless the command is a plain `up NAME` or `down NAME`. */
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

/** The longest delay of a timer in Node. */
const TIMEOUT_MS_MAX = 2 ** 31 - 1;

function parseSeconds(text: string): number {
  const milliseconds = Math.round(Number(text) * 1000);
  if (!/^\d+(\.\d+)?$/.test(text) || milliseconds > TIMEOUT_MS_MAX)
    throw new InvalidArgumentError("It takes a number of seconds, or 0 for no limit.");
  return milliseconds;
}

/** Runs an action. A failed system call is reported on one line, like all expected failures. */
async function attempt(action: () => void | Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    throw asFailure(error);
  }
}

const description =
  "Creates network namespaces, and connects them: with veth pairs, macvlan, ipvlan or VLAN " +
  "links, or with links of the host that are moved in.\n\n" +
  "NAME is the name of the namespace, as for ip-netns(8). On the host, the end of a veth " +
  "pair has the same name; the end inside is net0.";

const files = `
Files:
${[
  [`${CONFIG_DIRECTORY}/NAME.toml`, "description: links, addresses, routes, ..."],
  [`${CONFIG_DIRECTORY}/setup.d/NAME`, "script that up runs inside at the end"],
  [TEMPLATE_FILE, "description for names that have neither of these"],
  [CONFIG_FILE, "the pool of addresses"],
  [`${NETNS_DIRECTORY}/NAME`, "the namespace"],
]
  .map(([path = "", what = ""]) => `  ${path.padEnd(40)}${what}`)
  .join("\n")}

See cm4all-spawn-netns(8).`;

function withUpOptions(command: Command): Command {
  return command
    .option("--no-host-up", "do not set the host's end of the link up")
    .addOption(
      new Option("--script-timeout <seconds>", "end the script if it takes longer; 0 for no limit")
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
    .summary("create a namespace and its links, completely or not at all")
    .description(
      "Creates the network namespace and its links, applies NAME.toml, and runs the script. " +
        "If anything fails, everything is undone.",
    )
    .argument("<name>", "the name of the namespace and of the link on the host, at most 15 bytes")
    .action((name: string, flags: UpFlags) => attempt(() => up(name, toUpOptions(flags))));

  program
    .command("down")
    .summary("delete a namespace and its links")
    .description(
      "Deletes the links, moves links of the host back, removes NAT and firewall rules of the " +
        "namespace from the host, and deletes the namespace, even if another program has created " +
        "it. Processes in it keep running without a network. It is not an error if some or all of " +
        "these no longer exist.",
    )
    .argument("<name>", "the name of the namespace")
    .action((name: string) => attempt(() => down(name)));

  program
    .command("list")
    .summary("show all network namespaces that have a name, and ours that have lost it")
    .description(
      "Shows all network namespaces that have a name, and ours that have lost their names, with " +
        "their links.",
    )
    .option("--json", "as a JSON array")
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
        "namespace's /sys, and with the files in /etc/netns/NAME instead of those in /etc. Ends " +
        "with the command's exit status.",
    )
    .argument("<name>", "the name of the namespace")
    .argument("<command...>", "the command and its arguments", collectBytes)
    .addOption(new Option("--user <user>", "run the command as this user").conflicts("sudoUser"))
    .option("--sudo-user", "run the command as the user who called sudo")
    .passThroughOptions()
    .usage("[options] <name> -- <command> [argument...]")
    .action((name: string, command: Buffer[], options: ExecOptions) =>
      attempt(() => exec(name, command, options)),
    );

  withUpOptions(program.command("check"))
    .summary("show what up would do, or all mistakes")
    .description(
      "Prints the steps of up, or all mistakes. Changes nothing. Ends with the exit status that " +
        "up would have if it stopped at these mistakes, before it creates anything.",
    )
    .argument("<name>", "the name of the namespace")
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
