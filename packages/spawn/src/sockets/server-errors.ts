import type { Server } from "node:net";
import { LOG_WARNING, type Logger } from "../log/log.ts";
import { LogOnce } from "../log/log-once.ts";

/**
 * Logs the errors of a listening server, such as EMFILE of accept(2), which cost a connection but
 * must not end the daemon.
 * @param what what the server offers, in the words of the log
 */
export function logServerErrors(server: Server, what: string, log: Logger): void {
  const once = new LogOnce(log);
  server.on("error", (error) => {
    const code = "code" in error ? String(error.code) : "";
    once.log(code, LOG_WARNING, `a connection to ${what} failed: ${error.message}`);
  });
}
