/** The program that `npm start` runs after the set-up: the daemon, with something to do. */
import { errorText } from "@cm4all/linux";
import { parseStartArguments } from "./arguments.ts";
import { DATA } from "./checkout.ts";
import { Daemon } from "./daemon.ts";
import { demonstrate } from "./demonstration.ts";
import { Instance } from "./instance.ts";
import { say } from "./output.ts";
import { Scope } from "./scope.ts";

/** The error with which all waits end when the program has to end. */
class Interruption extends Error {
  override name = "Interruption";
}

/** Rejects at a signal, or when nobody reads what we print. */
function untilInterrupted(): Promise<never> {
  const interrupted = new Promise<never>((_, reject) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
      process.on(signal, () => reject(new Interruption(signal)));
    for (const stream of [process.stdout, process.stderr])
      stream.on("error", () => reject(new Interruption("nobody reads")));
  });
  interrupted.catch(() => {});
  return interrupted;
}

/** Runs the daemon with the arguments as they are. @returns its exit status */
async function runAlone(args: readonly string[], interrupted: Promise<never>): Promise<number> {
  await using daemon = Daemon.alone(args);
  return await Promise.race([interrupted, daemon.ended]);
}

async function start(args: readonly string[], interrupted: Promise<never>): Promise<number> {
  const parsed = parseStartArguments(args);
  if (parsed === undefined) return runAlone(args, interrupted);
  await using instance = await Instance.tryOpen();
  if (instance === undefined) {
    console.error(
      `npm start is already running with the data in ${DATA}; SPAWN_DATA=DIR chooses another directory`,
    );
    return 1;
  }
  const { listen, control = instance.control } = parsed;
  const daemonArgs = ["--control", control, ...args];
  await using scope = await openScope(instance.name, control);
  if (scope === undefined) return await runAlone(["--no-reaper", ...daemonArgs], interrupted);
  return await demonstrate({ instance, scope, args: daemonArgs, listen, control, interrupted });
}

/** Opens the scope; returns undefined, after saying why, if this host does not allow one. */
async function openScope(name: string, control: string): Promise<Scope | undefined> {
  try {
    return await Scope.open(name);
  } catch (error) {
    say(
      `No cgroups to account on this host: ${errorText(error)}. The daemon serves namespaces only; ` +
        `its control socket is ${control}.`,
    );
    return undefined;
  }
}

async function main(): Promise<number> {
  let isInterrupted = false;
  const interrupted = untilInterrupted();
  interrupted.catch(() => {
    isInterrupted = true;
  });
  try {
    return await start(process.argv.slice(2), interrupted);
  } catch (error) {
    // Ctrl-C also ends our child processes: that may cause an error before we notice the signal.
    if (isInterrupted) return 0;
    console.error(errorText(error));
    return 1;
  }
}

main().then((status) => process.exit(status));
