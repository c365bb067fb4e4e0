/** Exchanges with a server on a Unix socket, for the subjects that have one. */
import { connect } from "node:net";

/** Longer than any answer takes; it is none if it comes by then. */
const ANSWER_MS = 20_000;

/**
 * Sends bytes, shuts the side for writing, and gives what comes until the server hangs up.
 * @throws Error if it does not
 */
export async function exchange(path: string, bytes: Buffer): Promise<string> {
  return new Promise<string>((resolve, reject) => {
    const socket = connect(path);
    const chunks: Buffer[] = [];
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`no end for ${ANSWER_MS} ms`));
    }, ANSWER_MS);
    socket.on("data", (chunk) => chunks.push(chunk));
    // It hung up while there was more to send.
    socket.on("error", () => {});
    socket.on("close", () => {
      clearTimeout(timer);
      resolve(Buffer.concat(chunks).toString("latin1"));
    });
    socket.end(bytes);
  });
}
