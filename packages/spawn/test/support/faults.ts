/** Injects errors into system calls of a thread, with strace(1). */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "./daemon.ts";

/**
 * Runs `work` while system calls of a thread fail or are delayed, and waits until that has happened
 * to a call: otherwise nothing would have been tested.
 * @param tid the ID of the thread
 * @param faults in the syntax of strace's `inject=`, such as `openat:error=ENOMEM:when=1`
 */
export async function whileFailing(
  tid: string,
  faults: readonly string[],
  work: () => Promise<void>,
): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "faults-"));
  const trace = join(directory, "trace");
  const calls = faults.map((fault) => fault.split(":")[0]).join(",");
  const inject = faults.flatMap((fault) => ["-e", `inject=${fault}`]);
  const args = ["-p", tid, "-o", trace, "-e", `trace=${calls}`, ...inject];
  const strace = spawn("strace", args, { stdio: ["ignore", "ignore", "pipe"] });
  try {
    let said = "";
    strace.stderr.on("data", (data) => {
      said += data;
    });
    await until(() => said.includes("attached"), "the thread is traced");
    await work();
    const isInjected = () => /\((?:INJECTED|DELAYED)\)/.test(readFileSync(trace, "latin1"));
    await until(isInjected, `it has happened: ${faults.join(", ")}`);
  } finally {
    const ended = once(strace, "exit");
    // If the traced process has ended, strace may have ended, too.
    if (strace.exitCode === null && strace.kill("SIGINT")) await ended;
    rmSync(directory, { recursive: true });
  }
}
