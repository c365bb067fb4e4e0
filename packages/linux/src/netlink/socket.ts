/**
 * Sends requests to the kernel over rtnetlink, and waits for each answer before the next request.
 * @see rtnetlink(7), netlink(7)
 */
import { readSync, writeSync } from "node:fs";
import { ByteReader } from "../bytes.ts";
import { SOL_SOCKET } from "../cmsg.ts";
import { SyscallError } from "../errors.ts";
import type { Fd } from "../fd.ts";
import { getSocketOption, SOCK_RAW, setIntOption, socket } from "../socket.ts";
import {
  type Acknowledgement,
  encodeMessage,
  type NetlinkMessage,
  NLM_F_DUMP_INTR,
  NLMSG_DONE,
  NLMSG_ERROR,
  parseAcknowledgement,
  parseMessages,
} from "./message.ts";
import type { RtnetlinkRequest } from "./rtnetlink.ts";

const AF_NETLINK = 16;
const NETLINK_ROUTE = 0;
const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const NETLINK_GET_STRICT_CHK = 12;
const SO_NETNS_COOKIE = 71;

/** The size up to which the kernel fills the datagrams of a dump. */
const RECEIVE_BYTES = 32 * 1024;
/** The maximum number of attempts at a dump, which is repeated if changes interrupt it. */
const DUMP_TRIES = 10;

/**
 * A socket that stays in the network namespace in which it was opened, whichever namespace its
 * thread enters later. The owner closes it.
 */
export class RtnetlinkSocket {
  readonly #fd: Fd;
  readonly #buffer = Buffer.allocUnsafe(RECEIVE_BYTES);
  #sequence = 0;

  /** Opens the socket in the network namespace of the calling thread. */
  constructor() {
    this.#fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    const { number } = this.#fd;
    setIntOption(number, SOL_NETLINK, NETLINK_EXT_ACK, 1);
    setIntOption(number, SOL_NETLINK, NETLINK_CAP_ACK, 1);
    setIntOption(number, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
  }

  /**
   * Returns a number that no other network namespace has until the next boot. The inode of a
   * namespace, by contrast, is reused as soon as it is free.
   */
  netnsCookie(): bigint {
    return new ByteReader(getSocketOption(this.#fd.number, SOL_SOCKET, SO_NETNS_COOKIE, 8)).u64();
  }

  /** Sends a request and waits for its acknowledgement. @throws SyscallError */
  request(request: RtnetlinkRequest): void {
    this.#send(request);
    for (;;)
      for (const message of this.#receive())
        if (message.type === NLMSG_ERROR) {
          checkAcknowledgement(request, parseAcknowledgement(message));
          return;
        }
  }

  /**
   * Returns the payload of the only answer. It is valid until the next call.
   * @throws SyscallError, such as ENODEV if the link does not exist
   */
  get(request: RtnetlinkRequest): Buffer {
    this.#send(request);
    for (;;)
      for (const message of this.#receive()) {
        if (message.type !== NLMSG_ERROR) return message.payload;
        checkAcknowledgement(request, parseAcknowledgement(message));
      }
  }

  /**
   * Returns the payloads of all answers to a dump request. They may be inconsistent if every
   * attempt was interrupted by changes.
   * @throws SyscallError
   */
  dump(request: RtnetlinkRequest): Buffer[] {
    for (let tries = 1; ; tries++) {
      this.#send(request);
      const { payloads, interrupted } = this.#receiveDump(request);
      if (!interrupted || tries === DUMP_TRIES) return payloads;
    }
  }

  #receiveDump(request: RtnetlinkRequest): { payloads: Buffer[]; interrupted: boolean } {
    const payloads: Buffer[] = [];
    let interrupted = false;
    for (;;)
      for (const message of this.#receive()) {
        if ((message.flags & NLM_F_DUMP_INTR) !== 0) interrupted = true;
        if (message.type === NLMSG_DONE) {
          checkAcknowledgement(request, { errno: 0 - new ByteReader(message.payload).i32() });
          return { payloads, interrupted };
        }
        if (message.type === NLMSG_ERROR)
          checkAcknowledgement(request, parseAcknowledgement(message));
        else payloads.push(Buffer.from(message.payload));
      }
  }

  // Plain read(2) and write(2) are enough: the kernel is the peer of an unconnected socket, and
  // nobody without CAP_NET_ADMIN can send to this one.

  #send({ type, flags, payload }: RtnetlinkRequest): void {
    this.#sequence++;
    writeSync(this.#fd.number, encodeMessage({ type, flags, sequence: this.#sequence, payload }));
  }

  /**
   * Returns the messages of one datagram that answer the last request; valid until the next call.
   */
  #receive(): NetlinkMessage[] {
    const length = readSync(this.#fd.number, this.#buffer, 0, RECEIVE_BYTES, null);
    return parseMessages(this.#buffer.subarray(0, length)).filter(
      (message) => message.sequence === this.#sequence,
    );
  }

  [Symbol.dispose](): void {
    this.#fd.close();
  }
}

function checkAcknowledgement(request: RtnetlinkRequest, { errno, text }: Acknowledgement): void {
  if (errno !== 0)
    throw new SyscallError(
      request.name,
      errno,
      request.args,
      text === undefined ? undefined : `the kernel says: ${text}`,
    );
}
