/** Sends input to a server on a Unix socket, for the fuzzers that need a server. */
import { connect } from "node:net";

/** The time in which a server has to answer and close the connection. */
const ANSWER_MS = 20_000;

/**
 * Sends bytes, shuts down the writing side, and returns what is received until the server closes
 * the connection.
 * @throws Error (rejects) if the server does not close the connection in time
 */
export async function exchange(path: string, bytes: Buffer): Promise<string> {
  return new Promise<string>((resolve, reject) => {
    const socket = connect(path);
    const chunks: Buffer[] = [];
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`the server did not close the connection within ${ANSWER_MS} ms`));
    }, ANSWER_MS);
    socket.on("data", (chunk) => chunks.push(chunk));
    // The server may close the connection before everything has been sent.
    socket.on("error", () => {});
    socket.on("close", () => {
      clearTimeout(timer);
      resolve(Buffer.concat(chunks).toString("latin1"));
    });
    socket.end(bytes);
  });
}
