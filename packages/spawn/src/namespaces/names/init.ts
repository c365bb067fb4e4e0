/**
 * PID 1 of a PID namespace: `catatonit -P`, a static program that reaps zombies and sleeps. This
 * file starts it and recognises it in `/proc`.
 * @see pid_namespaces(7)
 */
import { readFileSync } from "node:fs";
import {
  CLONE_NEWPID,
  dropBoundingSet,
  dropInheritableCapabilities,
  EPOLLIN,
  type Fd,
  isErrno,
  P_PID,
  P_PIDFD,
  POLLIN,
  PreparedSpawn,
  pidfdSendSignal,
  pollNow,
  reap,
  SIGKILL,
  setNoNewPrivileges,
  setns,
  unshare,
  WNOHANG,
} from "@cm4all/linux";
import type { EventLoop } from "../../thread/event-loop.ts";
import { orExit } from "./or-exit.ts";

/** The program, from Debian's package `catatonit`. */
export const CATATONIT = "/usr/bin/catatonit";

/** The start of an init's command line; the name follows. */
const TITLE = "init ";

/** Matches `/proc/PID/status` of a process that is PID 1 of a namespace one level below ours. */
const IS_INIT = /^NSpid:\t\d+\t1$/m;

/**
 * Takes all capabilities from every program that the calling thread starts from now on: the
 * bounding, inheritable and ambient sets are empty, and no_new_privs is set. The thread keeps its
 * own capabilities.
 */
export function makeChildrenPowerless(): void {
  dropBoundingSet();
  dropInheritableCapabilities();
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
   * Makes a starter for the calling thread, which must have called makeChildrenPowerless and has
   * to start the inits itself.
   * @param ownPidNamespace the PID namespace of that thread
   */
  constructor(ownPidNamespace: Fd) {
    this.#ownPidNamespace = ownPidNamespace;
  }

  /**
   * Makes a PID namespace with an init in it. The calling thread stays in its own namespace. The
   * caller reaps the init.
   * @param name shown in the init's command line, `init NAME`
   * @returns the init's pid in the daemon's own PID namespace
   * @throws SyscallError of unshare (ENOSPC: user.max_pid_namespaces) or posix_spawn
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

/** Kills and reaps an init that has just been started, and for which there is no `Init` yet. */
export function endChild(pid: number): void {
  // Nobody else reaps the init, so the pid still belongs to it.
  process.kill(pid, "SIGKILL");
  reap(P_PID, pid);
}

/**
 * Returns the name with which an init was started; undefined if the process is not an init. Pure.
 * @param cmdline text of `/proc/PID/cmdline`, as latin1
 * @param status text of `/proc/PID/status`
 */
export function tryParseInitName(cmdline: string, status: string): string | undefined {
  const [title, option] = cmdline.split("\0");
  if (title === undefined || option !== "-P" || !title.startsWith(TITLE)) return undefined;
  return IS_INIT.test(status) ? title.slice(TITLE.length) : undefined;
}

/**
 * Returns whether the process is PID 1 of a namespace one level below ours; false if it is gone.
 */
export function isInit(pid: number): boolean {
  try {
    return IS_INIT.test(readFileSync(`/proc/${pid}/status`, "latin1"));
  } catch (error) {
    if (isErrno(error, "ENOENT", "ESRCH")) return false;
    throw error;
  }
}

/** Reads the name of an init, as tryParseInitName does; undefined also if the process is gone. */
export function tryReadInitName(pid: number): string | undefined {
  try {
    const cmdline = readFileSync(`/proc/${pid}/cmdline`, "latin1");
    return tryParseInitName(cmdline, readFileSync(`/proc/${pid}/status`, "latin1"));
  } catch (error) {
    if (isErrno(error, "ENOENT", "ESRCH")) return undefined;
    throw error;
  }
}

/** A running init. It owns its pidfd and its watch until the process has ended. */
export class Init {
  readonly pid: number;
  /** The inode of its PID namespace. */
  readonly inode: number;
  readonly #pidfd: Fd;
  readonly #loop: EventLoop;
  readonly #token: number;

  /**
   * @param pidfd a pidfd of the init; ownership passes to this object
   * @param ended called once, when the process has ended for whatever reason
   */
  constructor(pid: number, pidfd: Fd, inode: number, loop: EventLoop, ended: () => void) {
    this.pid = pid;
    this.inode = inode;
    this.#pidfd = pidfd;
    this.#loop = loop;
    try {
      // Its event is handled before all others: an init that died before a request was sent must
      // not be used to answer that request. See also `hasEnded`.
      this.#token = loop.watchFirst(pidfd.number, EPOLLIN, () => this.#ended(ended));
    } catch (error) {
      pidfd.close();
      throw error;
    }
  }

  #ended(ended: () => void): void {
    // Reaps nothing if an earlier run started the init, because the init is then not our child.
    reap(P_PIDFD, this.#pidfd.number, WNOHANG);
    this.#loop.forget(this.#token, undefined);
    this.#pidfd.close();
    ended();
  }

  /**
   * Returns whether the process has ended, even if the loop has not fetched that event yet: a
   * request can be received in the turn in which its connection is accepted, after the events of
   * that turn were fetched.
   */
  get hasEnded(): boolean {
    return !this.#pidfd.isOpen || pollNow(this.#pidfd.number, POLLIN) !== 0;
  }

  /** Kills the init, and with it every process of its namespace. */
  kill(): void {
    if (this.#pidfd.isOpen) pidfdSendSignal(this.#pidfd.number, SIGKILL);
  }
}
