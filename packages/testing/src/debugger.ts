/** Sends SIGUSR1, on which Node would open its debugger, to a program again and again. */
import { readFileSync, readlinkSync, realpathSync } from "node:fs";

const BLOCKED = 'exec env --block-signal=USR1 sh -c \'kill -USR1 $$; exec "$@"\' sh "$@"';

/**
 * A command that runs a program in a network namespace of its own, with a pending SIGUSR1. The
 * signal is blocked until Node unblocks it, and is delivered at that moment.
 */
export const SIGUSR1_PENDING = [
  ...["unshare", "--net", "sh", "-c", `ip link set lo up; ${BLOCKED}`, "sh"],
];

/** Sends SIGUSR1 every millisecond until it is disposed of. */
export class Storm implements Disposable {
  readonly #timer: NodeJS.Timeout;
  /** The number of signals sent. */
  sent = 0;
  /** Every address and TCP port that was listened on meanwhile, as in `/proc/PID/net/tcp`. */
  readonly listening = new Set<string>();

  /** @param pid of a process in whose network namespace no other process listens */
  constructor(pid: number) {
    let isReady = false;
    this.#timer = setInterval(() => {
      try {
        isReady ||= takesSigusr1(pid);
        if (!isReady) return;
        process.kill(pid, "SIGUSR1");
        this.sent++;
        for (const port of listeningPorts(pid)) this.listening.add(port);
      } catch (error) {
        if (!(error instanceof Error && "code" in error && ENDED.has(String(error.code))))
          throw error;
      }
    }, 1);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

const NODE = realpathSync(process.execPath);
const SIGUSR1_BIT = 9n;

/**
 * The errnos for a process that has ended; ENXIO if its network namespace has ended with it.
 */
const ENDED = new Set(["ENOENT", "ESRCH", "EINVAL", "ENXIO"]);

/** Returns whether the process is Node (not a program that starts Node) and survives SIGUSR1. */
function takesSigusr1(pid: number): boolean {
  if (readlinkSync(`/proc/${pid}/exe`) !== NODE) return false;
  // A child that has not executed its program yet looks like this process.
  if (readFileSync(`/proc/${pid}/cmdline`).equals(readFileSync("/proc/self/cmdline"))) return false;
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  const sets = [...status.matchAll(/^Sig(?:Blk|Cgt):\t(\w+)$/gm)];
  return sets.some(([, set]) => ((BigInt(`0x${set}`) >> SIGUSR1_BIT) & 1n) === 1n);
}

/**
 * Returns the addresses and ports that are listened on.
 * @see proc_pid_net(5): the second field is the local address, the fourth the state
 */
function listeningPorts(pid: number): string[] {
  return ["tcp", "tcp6"].flatMap((file) =>
    readFileSync(`/proc/${pid}/net/${file}`, "latin1")
      .split("\n")
      .map((line) => line.trim().split(/ +/))
      .filter((fields) => fields[3] === "0A")
      .map((fields) => fields[1] ?? ""),
  );
}
