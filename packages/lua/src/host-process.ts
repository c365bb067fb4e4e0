/** Starts the script host's process, and looks at its memory. */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { Socket } from "node:net";
import { undecodableVariables } from "./environment.ts";
import { HOST_FD } from "./host-fd.ts";

export interface ProcessOptions {
  /** The program and its arguments that end in `runHost()`; Node runs it. */
  program: readonly string[];
  uid?: number | undefined;
  gid?: number | undefined;
  /** Supplementary groups; none without a uid. */
  groups?: readonly number[] | undefined;
  env?: NodeJS.ProcessEnv | undefined;
  /** The heap of the host, MiB. */
  memoryMiB: number;
  /** Where the script's `print` goes; by default where ours goes. */
  stdout?: "inherit" | number | undefined;
  stderr?: "inherit" | number | undefined;
}

export interface HostProcess {
  child: ChildProcess;
  socket: Socket;
}

/** @throws Error where the process cannot be made */
export function startHostProcess(options: ProcessOptions): HostProcess {
  const [command = "", ...words] = [...credentials(options), process.execPath];
  const child = spawn(
    command,
    [
      ...words,
      `--max-old-space-size=${options.memoryMiB}`,
      // Wakes an idle process every 8 s, for as long as it lives.
      "--no-memory-reducer",
      // No debugger on SIGUSR1; packages/dev/bundle.mjs has the reason.
      "--inspect-port=192.0.2.1:9229",
      ...options.program,
    ],
    {
      cwd: "/",
      stdio: ["ignore", options.stdout ?? "inherit", options.stderr ?? "inherit", "pipe"],
      env: { ...(options.env ?? process.env), ...undecodableVariables() },
    },
  );
  // Undefined if there was no descriptor for it, which Node tells by an event.
  const socket = child.stdio?.[HOST_FD];
  if (!(socket instanceof Socket)) {
    child.on("error", () => {});
    throw new Error("the script host cannot be started: there are no descriptors left");
  }
  return { child, socket };
}

/**
 * The program that takes other credentials; Node would take the uid without groups. A number
 * without a plus would be looked up as a name first. @see setpriv(1)
 */
function credentials({ uid, gid, groups = [] }: ProcessOptions): string[] {
  if (uid === undefined) return [];
  const list =
    groups.length === 0 ? "--clear-groups" : `--groups=${groups.map((id) => `+${id}`).join(",")}`;
  return ["/usr/bin/setpriv", `--reuid=+${uid}`, `--regid=+${gid ?? uid}`, list, "--"];
}

const PAGE_BYTES = 4096;

/** The memory in use by a process; undefined where it is gone. @see proc_pid_statm(5) */
export function residentBytes(pid: number | undefined): number | undefined {
  if (pid === undefined) return undefined;
  try {
    const [, resident] = readFileSync(`/proc/${pid}/statm`, "latin1").split(" ");
    return Number(resident) * PAGE_BYTES;
  } catch {
    // It ended.
    return undefined;
  }
}
