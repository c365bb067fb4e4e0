import type { Server } from "node:net";
import { LOG_WARNING, type Logger } from "../log/log.ts";
import { LogOnce } from "../log/log-once.ts";

/**
 * Logs errors of a server that listens, such as EMFILE of accept(2): they cost a
 * connection, not the daemon.
 * @param what it serves, for the log
 */
export function logServerErrors(server: Server, what: string, log: Logger): void {
  const once = new LogOnce(log);
  server.on("error", (error) => {
    const code = "code" in error ? String(error.code) : "";
    once.log(code, LOG_WARNING, `a connection to ${what} failed: ${error.message}`);
  });
}
