/**
 * A script host as a unit of its own: systemd starts an instance of a template for each
 * connection to a socket with Accept=yes. The connection is descriptor 3 of the script host.
 *
 * The peer credentials of this connection are systemd's. So the script host sends its pid before it
 * reads a script, and the unit of that pid is read from the kernel: systemd has put the process
 * into the unit, and a process without privileges cannot leave its unit. A script host that hangs
 * is killed through its pidfd; then systemd ends whatever the script host has started.
 * @see systemd.socket(5), cgroups(7)
 */
import { EventEmitter } from "node:events";
import { readFileSync } from "node:fs";
import { Socket } from "node:net";
import {
  AF_UNIX,
  connectUnix,
  errorText,
  type Fd,
  isErrno,
  socket as openSocket,
  pidfdSendSignal,
  SIGKILL,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  tryPidfdOpen,
} from "@cm4all/linux";
import { type HostProcess, mostMiB, nodeOptions } from "./host-process.ts";
import { misfitOf, parseUnit, type Unit } from "./unit.ts";

export interface UnitOptions {
  /** The path of the socket with Accept=yes. */
  readonly socket: string;
  /** The uid with which the script has to run; undefined means any uid but root's. */
  readonly uid: number | undefined;
}

/** The time that a script host is given to end after it has closed its connection. */
const END_MS = 1000;

export class HostUnit extends EventEmitter<{ ended: [how: string] }> implements HostProcess {
  readonly socket: Socket;
  readonly #uid: number | undefined;
  readonly #memoryMiB: number;
  #pidfd: Fd | undefined;
  #pid: number | undefined;
  #unit: Unit | undefined;
  #isKilled = false;

  /**
   * Connects, whereupon systemd starts the script host.
   * @throws SyscallError ENOENT, ECONNREFUSED if the socket does not exist or nobody listens on
   * it
   */
  constructor({ socket, uid }: UnitOptions, memoryMiB: number) {
    super();
    this.#uid = uid;
    this.#memoryMiB = memoryMiB;
    using fd = openSocket(AF_UNIX, SOCK_STREAM, 0, SOCK_NONBLOCK);
    connectUnix(fd.number, socket);
    this.socket = new Socket({ fd: fd.release(), readable: true, writable: true });
    this.socket.once("close", () => this.#closed());
    // The first line, before all messages, is for the shell that starts Node.
    this.socket.write(`${nodeOptions(memoryMiB).join(" ")}\n`);
  }

  get pid(): number | undefined {
    return this.#pid;
  }

  get place(): string {
    return this.#unit?.name ?? "a unit of its own";
  }

  /** True if we have killed the process. */
  get isKilled(): boolean {
    return this.#isKilled;
  }

  greet(pid: number): string | undefined {
    try {
      return this.#check(pid);
    } catch (error) {
      // EMFILE and the like, or EINVAL for a number that cannot be a pid.
      if (!(error instanceof Error) || !("syscall" in error)) throw error;
      this.#forget();
      return `its process cannot be checked: ${errorText(error)}`;
    }
  }

  /** Returns why the process with this pid cannot be used; undefined if it can. */
  #check(pid: number): string | undefined {
    const pidfd = tryPidfdOpen(pid);
    // The process may have ended in the meantime.
    if (pidfd === undefined) return "its greeting names a process that is gone";
    this.#pidfd = pidfd;
    const unit = parseUnit(readText(`/proc/${pid}/cgroup`), process.pid);
    const uid = parseUid(readText(`/proc/${pid}/status`));
    // If the process still exists, these files were its own, not those of a later process with the
    // same pid.
    if (unit === undefined || uid === undefined || !pidfdSendSignal(pidfd.number, 0)) {
      this.#forget();
      return "its greeting names a process that is in none of the daemon's units";
    }
    this.#unit = unit;
    const misfit = misfitOf({
      name: unit.name,
      uid,
      memoryMax: readText(`/sys/fs/cgroup${unit.cgroup}/memory.max`),
      wantedUid: this.#uid,
      neededMiB: mostMiB(this.#memoryMiB),
    });
    // The script host has nothing to do yet, and ends with the connection.
    if (misfit !== undefined) this.#forget();
    else this.#pid = pid;
    return misfit;
  }

  kill(): void {
    this.#isKilled = true;
    this.#end();
    // A script host that has not greeted runs no script, and ends with the connection.
    this.socket.destroy();
  }

  #closed(): void {
    // The script host is about to exit by itself; killing it now would make its unit fail. Only one
    // that hangs is killed.
    if (!this.#isKilled) setTimeout(() => this.#end(), END_MS).unref();
    const unit = this.#unit?.name ?? "cm4all-spawn-accounting@*";
    const how = `its unit has ended; see journalctl -u '${unit}'`;
    this.emit("ended", this.#isKilled ? "killed by SIGKILL" : how);
  }

  #end(): void {
    if (this.#pidfd !== undefined) pidfdSendSignal(this.#pidfd.number, SIGKILL);
    this.#forget();
  }

  #forget(): void {
    this.#pidfd?.close();
    this.#pidfd = undefined;
  }
}

/** Returns the text of a file; empty if the file, or its process, does not exist. */
function readText(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch (error) {
    if (isErrno(error, "ENOENT", "ESRCH")) return "";
    throw error;
  }
}

/** Returns the real uid. @see proc_pid_status(5) */
function parseUid(status: string): number | undefined {
  const uid = /^Uid:\t(\d+)/m.exec(status)?.[1];
  return uid === undefined ? undefined : Number(uid);
}
