/**
 * Looks at the next message of a Unix socket without receiving it: whoever receives a message has
 * to close the descriptors in it, which can take as long as the sender likes.
 * @see recvmsg(2) MSG_PEEK, unix(7) SO_PASSCRED
 */
import { controlSpace } from "./cmsg.ts";
import { EAGAIN, ECONNRESET, EINTR } from "./errno.ts";
import { check } from "./errors.ts";
import { MessageBuffer, MSG_CTRUNC, MSG_DONTWAIT, MSG_PEEK } from "./socket.ts";

/**
 * The next message: `nothing` yet, the `end` of the connection, a `message`, or a message with
 * `descriptors`.
 */
export type NextMessage = "nothing" | "end" | "message" | "descriptors";

/** The size of `struct ucred`: pid, uid, gid. */
const CREDENTIALS_BYTES = 12;

/**
 * Looks at messages of sockets with SO_PASSCRED, on which each message, even an empty one, comes
 * with credentials.
 */
export class MessageProbe {
  /** Has room for the credentials, which come first, but not for a descriptor after them. */
  readonly #buffer = new MessageBuffer(1, controlSpace(CREDENTIALS_BYTES));

  /** Returns what comes next. @throws SyscallError such as ENOMEM */
  look(fd: number): NextMessage {
    for (;;) {
      const flags = this.#buffer.receiveFlags(fd, MSG_PEEK | MSG_DONTWAIT);
      if (flags === -EAGAIN) return "nothing";
      // ECONNRESET is reported once, before the peer's messages: the peer closed its socket
      // without reading our answer.
      if (flags === -ECONNRESET || flags === -EINTR) continue;
      if ((check(flags, "recvmsg", { fd }) & MSG_CTRUNC) !== 0) return "descriptors";
      return this.#buffer.controlLength > 0 ? "message" : "end";
    }
  }
}
