/** The program cm4all-spawn-netns. */
import { explainFailure, printableLines } from "@cm4all/command";
import { asFailure } from "./failures.ts";

/**
 * Runs the program. The two command lines of the systemd unit, `up NAME` and `down NAME`, are
 * parsed here, and each loads its own part: the command-line parser and the modules of other
 * commands would take a quarter of the start-up time.
 */
async function main(args: readonly string[]): Promise<void> {
  const [command, name, ...rest] = args;
  if (name !== undefined && !name.startsWith("-") && rest.length === 0) {
    if (command === "up") {
      const [{ defaultUpOptions }, { up }] = [
        await import("./request.ts"),
        await import("./up.ts"),
      ];
      return up(name, defaultUpOptions);
    }
    if (command === "down") {
      const { down } = await import("./down.ts");
      return down(name);
    }
  }
  const { runCli } = await import("./cli.ts");
  await runCli();
}

main(process.argv.slice(2)).catch((error: unknown) => {
  const { message, exitStatus } = explainFailure(asFailure(error));
  console.error(`cm4all-spawn-netns: ${printableLines(message)}`);
  process.exitCode = exitStatus;
});
