/** Loads a script as the daemon does, to find mistakes in it. */
import { ScriptHost, type ScriptHostOptions } from "./script-host.ts";

export type CheckResult =
  | { usable: true; warning?: string }
  | { usable: false; message: string; traceback?: string };

/** Runs the script's main chunk in a script host of its own, and then stops the script host. */
export async function checkScript(options: ScriptHostOptions): Promise<CheckResult> {
  const host = new ScriptHost(options);
  try {
    return await new Promise<CheckResult>((resolve) => {
      host.once("ready", (warning) =>
        resolve({ usable: true, ...(warning === undefined ? {} : { warning }) }),
      );
      host.once("unusable", (message, traceback) =>
        resolve({ usable: false, message, ...(traceback === undefined ? {} : { traceback }) }),
      );
      host.once("ended", (reason) =>
        resolve({ usable: false, message: `the script host ended: ${reason}` }),
      );
      host.start();
    });
  } finally {
    await host.stop(0);
  }
}
