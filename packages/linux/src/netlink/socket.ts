/**
 * Requests to the kernel over rtnetlink, one at a time, each answered before the next.
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

/** The kernel fills datagrams of a dump up to this size. */
const RECEIVE_BYTES = 32 * 1024;
/** A dump that something changed meanwhile is asked for again, so often at most. */
const DUMP_TRIES = 10;

/**
 * A socket of the network namespace in which it was opened, whatever its thread enters
 * later. The owner closes it.
 */
export class RtnetlinkSocket {
  readonly #fd: Fd;
  readonly #buffer = Buffer.allocUnsafe(RECEIVE_BYTES);
  #sequence = 0;

  /** Opens it in the network namespace of the calling thread. */
  constructor() {
    this.#fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    const { number } = this.#fd;
    setIntOption(number, SOL_NETLINK, NETLINK_EXT_ACK, 1);
    setIntOption(number, SOL_NETLINK, NETLINK_CAP_ACK, 1);
    setIntOption(number, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
  }

  /**
   * A number that no other network namespace has, ever, until the next boot; the
   * namespace's inode is given to another one as soon as it is free.
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

  /** The payload of the only answer. @throws SyscallError, ENODEV where there is no such link */
  get(request: RtnetlinkRequest): Buffer {
    this.#send(request);
    for (;;)
      for (const message of this.#receive()) {
        if (message.type !== NLMSG_ERROR) return message.payload;
        checkAcknowledgement(request, parseAcknowledgement(message));
      }
  }

  /** The payloads of all answers to a dump request. @throws SyscallError */
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

  // Plain read(2) and write(2) reach the kernel: it is the peer of a socket that was
  // not connected, and nobody without CAP_NET_ADMIN can send to this one.

  #send({ type, flags, payload }: RtnetlinkRequest): void {
    this.#sequence++;
    writeSync(this.#fd.number, encodeMessage({ type, flags, sequence: this.#sequence, payload }));
  }

  /** The messages of one datagram that answer the last request; valid until the next call. */
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
