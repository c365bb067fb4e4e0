/** Waits for the end of a child that was started with spawn.ts. */
import { type ExitReason, P_PID, reap, WNOHANG } from "./wait.ts";

/**
 * The interval, in milliseconds, of a timer that keeps the process alive. SIGCHLD reports the end
 * of the child.
 */
const KEEP_ALIVE_MS = 1000;

/**
 * Waits for the end of a child, and reaps it. Node itself must not wait for this child.
 * @param pid the pid of a child that nobody has reaped
 */
export function childExit(pid: number): Promise<ExitReason> {
  return new Promise((resolve) => {
    const look = () => {
      const reason = reap(P_PID, pid, WNOHANG);
      if (reason === undefined) return;
      process.off("SIGCHLD", look);
      clearInterval(timer);
      resolve(reason);
    };
    process.on("SIGCHLD", look);
    const timer = setInterval(look, KEEP_ALIVE_MS);
    look();
  });
}
