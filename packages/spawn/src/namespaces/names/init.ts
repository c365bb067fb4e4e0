/**
 * PID 1 of a PID namespace: `catatonit -P`, a static program that reaps zombies and
 * sleeps. How it is started and how it is recognised in `/proc`.
 * @see pid_namespaces(7)
 */
import { readFileSync } from "node:fs";
import {
  CLONE_NEWPID,
  dropBoundingSet,
  EPOLLIN,
  type Fd,
  isErrno,
  P_PID,
  P_PIDFD,
  PreparedSpawn,
  pidfdSendSignal,
  reap,
  SIGKILL,
  setNoNewPrivileges,
  setns,
  unshare,
  WNOHANG,
} from "@cm4all/linux";
import type { EventLoop } from "../../thread/event-loop.ts";
import { orExit } from "./or-exit.ts";

/** Debian's package `catatonit`. */
export const CATATONIT = "/usr/bin/catatonit";

/** How the command line of an init starts; the name follows. */
const TITLE = "init ";

/** In `/proc/PID/status`: PID 1 of a namespace one below ours. */
const IS_INIT = /^NSpid:\t\d+\t1$/m;

/**
 * Makes every program that the calling thread starts from now on powerless: its
 * bounding set is empty and it can gain nothing. The thread keeps what it has.
 */
export function makeChildrenPowerless(): void {
  dropBoundingSet();
  setNoNewPrivileges();
}

/** Starts inits, each in a PID namespace of its own. */
export class InitStarter {
  readonly #ownPidNamespace: Fd;
  readonly #program = new PreparedSpawn({
    path: CATATONIT,
    environment: [],
    stdio: ["null", "null", "null"],
    newSession: true,
  });

  /**
   * To be made on the thread that starts them, which must have called
   * makeChildrenPowerless.
   * @param ownPidNamespace of that thread
   */
  constructor(ownPidNamespace: Fd) {
    this.#ownPidNamespace = ownPidNamespace;
  }

  /**
   * Makes a PID namespace with an init in it. The calling thread goes on in its own
   * namespace. The caller reaps the init.
   * @param name shown in the init's command line, `init NAME`
   * @returns the init's pid in the daemon's own PID namespace
   * @throws SyscallError: unshare ENOSPC (user.max_pid_namespaces), posix_spawn
   */
  start(name: string): number {
    unshare(CLONE_NEWPID);
    try {
      return this.#program.start([Buffer.from(TITLE + name, "latin1"), "-P"]);
    } finally {
      orExit("PID namespace", () => setns(this.#ownPidNamespace.number, CLONE_NEWPID));
    }
  }
}

/** Ends an init right after its start; an Init does that where there is one already. */
export function endChild(pid: number): void {
  // Nobody else reaps it, so the pid is its own.
  process.kill(pid, "SIGKILL");
  reap(P_PID, pid);
}

/**
 * The name that an init was started with; undefined for a process that is none. Pure.
 * @param cmdline `/proc/PID/cmdline`, as latin1
 * @param status `/proc/PID/status`
 */
export function tryParseInitName(cmdline: string, status: string): string | undefined {
  const [title, option] = cmdline.split("\0");
  if (title === undefined || option !== "-P" || !title.startsWith(TITLE)) return undefined;
  return IS_INIT.test(status) ? title.slice(TITLE.length) : undefined;
}

/** Whether the process is PID 1 of a namespace one below ours; false where it is gone. */
export function isInit(pid: number): boolean {
  try {
    return IS_INIT.test(readFileSync(`/proc/${pid}/status`, "latin1"));
  } catch (error) {
    if (isErrno(error, "ENOENT", "ESRCH")) return false;
    throw error;
  }
}

/** Like tryParseInitName; undefined also for a process that is gone. */
export function tryReadInitName(pid: number): string | undefined {
  try {
    const cmdline = readFileSync(`/proc/${pid}/cmdline`, "latin1");
    return tryParseInitName(cmdline, readFileSync(`/proc/${pid}/status`, "latin1"));
  } catch (error) {
    if (isErrno(error, "ENOENT", "ESRCH")) return undefined;
    throw error;
  }
}

/** An init that runs. It owns its pidfd and its watch, until it has ended. */
export class Init {
  readonly pid: number;
  /** The inode of its PID namespace. */
  readonly inode: number;
  readonly #pidfd: Fd;
  readonly #loop: EventLoop;
  readonly #token: number;

  /**
   * @param pidfd of the init; owned from then on
   * @param ended is called once, when it has ended for whatever reason
   */
  constructor(pid: number, pidfd: Fd, inode: number, loop: EventLoop, ended: () => void) {
    this.pid = pid;
    this.inode = inode;
    this.#pidfd = pidfd;
    this.#loop = loop;
    try {
      // First: an init that died before a request was sent must not be given for it.
      this.#token = loop.watchFirst(pidfd.number, EPOLLIN, () => this.#ended(ended));
    } catch (error) {
      pidfd.close();
      throw error;
    }
  }

  #ended(ended: () => void): void {
    // Gives nothing for the init of an earlier run, which is not our child.
    reap(P_PIDFD, this.#pidfd.number, WNOHANG);
    this.#loop.forget(this.#token, undefined);
    this.#pidfd.close();
    ended();
  }

  /** Ends it, and with it every process of its namespace. */
  kill(): void {
    if (this.#pidfd.isOpen) pidfdSendSignal(this.#pidfd.number, SIGKILL);
  }
}
