/** A client for tests, which can send any bytes, and keeps the descriptors that it receives. */
import { closeSync, fstatSync } from "node:fs";
import {
  AF_UNIX,
  connectUnix,
  encodeRights,
  Fd,
  isErrno,
  MessageBuffer,
  SO_RCVTIMEO,
  SOCK_SEQPACKET,
  setTimeoutOption,
  socket,
} from "@cm4all/linux";
import {
  CLONE_NEWIPC,
  CLONE_NEWPID,
  CLONE_NEWUSER,
  decodeResponse,
  encodeRequest,
  encodeUserMaps,
} from "@cm4all/spawn-protocol";

const ANSWER_TIMEOUT_MS = 10_000;

const buffer = new MessageBuffer(256 * 1024, 2048);

/** What a request asks for. */
export interface Wanted {
  readonly ipc?: boolean;
  readonly pid?: boolean;
  readonly lease?: boolean;
  readonly user?: { readonly uidMap?: string; readonly gidMap?: string } | undefined;
}

/** The descriptors of an answer; they are open until this object is disposed of. */
export interface Answer extends Disposable {
  readonly ipc: Fd | undefined;
  readonly pid: Fd | undefined;
  readonly user: Fd | undefined;
  readonly lease: Fd | undefined;
}

/** The answer to a datagram. */
export type Raw =
  | { readonly kind: "closed" }
  | { readonly kind: "error"; readonly message: string }
  | { readonly kind: "handles"; readonly answer: Answer };

export function request(name: string, wanted: Wanted): Uint8Array {
  return encodeRequest({
    name,
    ipc: wanted.ipc === true,
    pid: wanted.pid === true,
    lease: wanted.lease === true,
    user: wanted.user === undefined ? undefined : encodeUserMaps(wanted.user),
  });
}

export class TestClient implements Disposable {
  readonly socket: Fd;

  constructor(address: string) {
    this.socket = socket(AF_UNIX, SOCK_SEQPACKET);
    connectUnix(this.socket.number, address);
    setTimeoutOption(this.socket.number, SO_RCVTIMEO, ANSWER_TIMEOUT_MS);
  }

  /** Sends bytes. @param fds descriptors that are sent with them */
  send(bytes: Uint8Array, fds: readonly number[] = []): void {
    buffer.send(this.socket.number, bytes, encodeRights(fds));
  }

  /** Waits for an answer. @throws Error if none comes in time */
  receive(): Raw {
    const raw = this.tryReceive();
    if (raw === undefined) throw new Error("no answer came");
    return raw;
  }

  /**
   * Receives an answer; undefined if none comes in time.
   * @param flags as for recv(2): with MSG_DONTWAIT, does not wait
   */
  tryReceive(flags = 0): Raw | undefined {
    let message: ReturnType<MessageBuffer["receive"]>;
    try {
      message = buffer.receive(this.socket.number, flags);
    } catch (error) {
      if (isErrno(error, "ECONNRESET")) return { kind: "closed" };
      throw error;
    }
    if (message === undefined) return undefined;
    if (message.data.length === 0) return { kind: "closed" };
    const response = decodeResponse(message.data);
    if (response.kind === "error") return response;
    return { kind: "handles", answer: toAnswer(response, message.fds) };
  }

  exchange(bytes: Uint8Array, fds: readonly number[] = []): Raw {
    this.send(bytes, fds);
    return this.receive();
  }

  /** Requests namespaces or a lease. @throws Error with the message of an ERROR */
  ask(name: string, wanted: Wanted): Answer {
    const raw = this.exchange(request(name, wanted));
    if (raw.kind === "handles") return raw.answer;
    throw new Error(raw.kind === "error" ? raw.message : "the connection was closed");
  }

  /** Returns the inodes of a name's namespaces. */
  inodes(name: string, wanted: Wanted): { ipc?: number; pid?: number; user?: number } {
    using answer = this.ask(name, wanted);
    return {
      ...(answer.ipc && { ipc: inodeOf(answer.ipc) }),
      ...(answer.pid && { pid: inodeOf(answer.pid) }),
      ...(answer.user && { user: inodeOf(answer.user) }),
    };
  }

  [Symbol.dispose](): void {
    this.socket.close();
  }
}

export function inodeOf(fd: Fd | undefined): number {
  if (fd === undefined) throw new Error("there is no such descriptor");
  return fstatSync(fd.number).ino;
}

function toAnswer(
  response: { namespaces: readonly number[]; lease: boolean },
  fds: readonly number[],
): Answer {
  const expected = response.namespaces.length + (response.lease ? 1 : 0);
  if (fds.length !== expected) {
    for (const fd of fds) closeSync(fd);
    throw new Error(`${fds.length} descriptors came instead of ${expected}`);
  }
  const handles = fds.map((fd) => new Fd(fd));
  const handle = (flag: number) => handles[response.namespaces.indexOf(flag)];
  return {
    ipc: handle(CLONE_NEWIPC),
    pid: handle(CLONE_NEWPID),
    user: handle(CLONE_NEWUSER),
    lease: response.lease ? handles.at(-1) : undefined,
    [Symbol.dispose]: () => {
      for (const fd of handles) fd.close();
    },
  };
}
