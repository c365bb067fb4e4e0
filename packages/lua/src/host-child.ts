/** A script host as a child process. */
import { type ChildProcess, spawn } from "node:child_process";
import { EventEmitter } from "node:events";
import { Socket } from "node:net";
import { checkDescriptorRoom } from "./descriptor-room.ts";
import { undecodableVariables } from "./environment.ts";
import { HOST_FD } from "./host-fd.ts";
import { type HostProcess, nodeOptions } from "./host-process.ts";

export interface ChildOptions {
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

export class HostChild extends EventEmitter<{ ended: [how: string] }> implements HostProcess {
  readonly place = "a child process";
  readonly socket: Socket;
  readonly #child: ChildProcess;

  /** Starts it. @throws Error where the process cannot be made */
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
    // Undefined if there was no descriptor for it, which Node tells by an event.
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

  /** A child needs no proof of who it is. */
  greet(): undefined {}

  /** SIGKILL, because a process that hangs, or is stopped, hears nothing else. */
  kill(): void {
    this.socket.destroy();
    this.#child.kill("SIGKILL");
  }
}

/**
 * The program that takes other credentials; Node would take the uid without groups. A number
 * without a plus would be looked up as a name first. @see setpriv(1)
 */
function credentials({ uid, gid, groups = [] }: ChildOptions): string[] {
  if (uid === undefined) return [];
  const list =
    groups.length === 0 ? "--clear-groups" : `--groups=${groups.map((id) => `+${id}`).join(",")}`;
  return ["/usr/bin/setpriv", `--reuid=+${uid}`, `--regid=+${gid ?? uid}`, list, "--"];
}
