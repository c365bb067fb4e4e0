/**
 * Runs `up NAME`, and disturbs it at one step of the plan, counted from 0:
 *
 *     driver NAME fail|fail-also-undo|kill-before|kill-after|signal STEP
 */
import { CommandFailure, explainFailure } from "@cm4all/command";
import type { Executor } from "../src/execute.ts";
import { defaultUpOptions } from "../src/request.ts";
import { up } from "../src/up.ts";

const [name = "", mode, at] = process.argv.slice(2);

function disturb(kernel: Executor): Executor {
  let count = 0;
  return {
    undo: (undo) => {
      if (mode === "fail-also-undo" && undo.kind === "delete-link") throw new Error("cannot");
      kernel.undo(undo);
    },
    run: async (step) => {
      if (count++ !== Number(at)) return kernel.run(step);
      if (mode === "kill-before") process.kill(process.pid, "SIGKILL");
      if (mode === "signal") process.kill(process.pid, "SIGTERM");
      await kernel.run(step);
      if (mode === "kill-after") process.kill(process.pid, "SIGKILL");
      if (mode?.startsWith("fail")) throw new CommandFailure(`failed at ${step.kind}`, 71);
    },
  };
}

up(name, defaultUpOptions, disturb).catch((error: unknown) => {
  const { message, exitStatus } = explainFailure(error);
  console.error(message);
  process.exitCode = exitStatus;
});
