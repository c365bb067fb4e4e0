/** A child that was started with spawn.ts, and its end. */
import { type ExitReason, P_PID, reap, WNOHANG } from "./wait.ts";

/** SIGCHLD says when a child ends; this only keeps the process alive until then. */
const KEEP_ALIVE_MS = 1000;

/**
 * Waits for the end of a child, and reaps it. Node must not wait for it itself.
 * @param pid of a child that nobody has reaped
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
