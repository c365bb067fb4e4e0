/** Warnings about what the kernel refuses. A lasting shortage of watches is logged once. */
import { type ByteString, errorText, isErrno, textOf } from "@cm4all/linux";
import { LOG_WARNING, type Logger } from "../log/log.ts";
import type { Complain } from "./cgroup-files.ts";

export class Complaints {
  readonly #checkIntervalMs: number;
  readonly #log: Logger;
  readonly #told = new Set<string>();

  constructor(checkIntervalMs: number, log: Logger) {
    this.#checkIntervalMs = checkIntervalMs;
    this.#log = log;
  }

  readonly complain: Complain = (key, text) => {
    if (this.#told.has(key)) return;
    this.#told.add(key);
    this.#log(LOG_WARNING, text);
  };

  /** Forgets which problems were logged. Called by each check if all directories are watched. */
  clear(): void {
    this.#told.clear();
  }

  /** Logs that nothing can be watched, the reason, and what an administrator can do. */
  noInotify(reason: string): void {
    this.complain(
      "inotify",
      `cannot watch cgroups: ${reason}; see sysctl fs.inotify.max_user_instances and LimitNOFILE. ${this.#untilCheck()}`,
    );
  }

  /** Logs that a cgroup cannot be watched. @param watches the number of watches in use */
  unwatchable(path: ByteString, error: unknown, watches: number): void {
    let advice = `${textOf(path)}: ${errorText(error)}`;
    if (isErrno(error, "ENOSPC"))
      advice = `cannot watch more cgroups: sysctl fs.inotify.max_user_watches is reached (2 for each cgroup, ${watches} in use)`;
    else if (isErrno(error, "EMFILE"))
      advice = `cannot open a cgroup: RLIMIT_NOFILE (LimitNOFILE= of the service) is reached`;
    else if (isErrno(error, "ENFILE"))
      advice = `cannot open a cgroup: sysctl fs.file-max is reached`;
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    this.complain(`watch ${code}`, `${advice}. ${this.#untilCheck()}`);
  }

  #untilCheck(): string {
    const seconds = this.#checkIntervalMs / 1000;
    return `Changes in directories without a watch are found by the check every ${seconds} s`;
  }
}
