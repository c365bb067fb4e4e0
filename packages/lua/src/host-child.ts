/** A script host as a child process. */
import { type ChildProcess, spawn } from "node:child_process";
import { EventEmitter } from "node:events";
import { Socket } from "node:net";
import { checkDescriptorRoom } from "./descriptor-room.ts";
import { undecodableVariables } from "./environment.ts";
import { HOST_FD } from "./host-fd.ts";
import { type HostProcess, nodeOptions } from "./host-process.ts";

export interface ChildOptions {
  /** The program that Node runs, and its arguments; the program calls `runHost()`. */
  program: readonly string[];
  uid?: number | undefined;
  gid?: number | undefined;
  /** Supplementary groups, by default none; ignored without a uid. */
  groups?: readonly number[] | undefined;
  env?: NodeJS.ProcessEnv | undefined;
  /** The size of the script host's heap, in MiB. */
  memoryMiB: number;
  /** Standard output of the script; by default ours. */
  stdout?: "inherit" | number | undefined;
  stderr?: "inherit" | number | undefined;
}

export class HostChild extends EventEmitter<{ ended: [how: string] }> implements HostProcess {
  readonly place = "a child process";
  readonly socket: Socket;
  readonly #child: ChildProcess;

  /** Starts the child. @throws Error if the process cannot be created */
  constructor(options: ChildOptions) {
    super();
    const [command = "", ...words] = [...credentials(options), process.execPath];
    const args = [...words, ...nodeOptions(options.memoryMiB), ...options.program];
    checkDescriptorRoom();
    this.#child = spawn(command, args, {
      cwd: "/",
      stdio: ["ignore", options.stdout ?? "inherit", options.stderr ?? "inherit", "pipe"],
      env: { ...(options.env ?? process.env), ...undecodableVariables() },
    });
    this.#child.on("error", (error) => this.emit("ended", error.message));
    // The socket is undefined if there was no descriptor for it; Node reports that by an event.
    const socket = this.#child.stdio?.[HOST_FD];
    if (!(socket instanceof Socket))
      throw new Error("the script host cannot be started: there are no descriptors left");
    this.socket = socket;
    this.#child.once("exit", (code, signal) =>
      this.emit("ended", signal === null ? `exit status ${code}` : `killed by ${signal}`),
    );
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Accepts any pid: a child needs no proof of its identity. */
  greet(): undefined {}

  /** Sends SIGKILL, because a process that hangs, or is stopped, reacts to nothing else. */
  kill(): void {
    this.socket.destroy();
    this.#child.kill("SIGKILL");
  }
}

/**
 * Returns the command that changes the credentials; Node would set the uid, but no supplementary
 * groups. setpriv would look up a number without a plus sign as a name first.
 * @see setpriv(1)
 */
function credentials({ uid, gid, groups = [] }: ChildOptions): string[] {
  if (uid === undefined) return [];
  const list =
    groups.length === 0 ? "--clear-groups" : `--groups=${groups.map((id) => `+${id}`).join(",")}`;
  return ["/usr/bin/setpriv", `--reuid=+${uid}`, `--regid=+${gid ?? uid}`, list, "--"];
}
