/**
 * What the daemon and the script host tell each other over a socket pair: JSON
 * objects, one a line. Bytes pass as they are: JSON has a character for each. Pure.
 */
import type { CgroupSnapshot } from "@cm4all/cgroup";
import { type ByteString, bytesOfLatin1, latin1Of } from "@cm4all/linux";

/** What the host needs to begin. */
export interface HostSettings {
  script: string;
  /** Where cgroup2 is mounted. */
  cgroupRoot: ByteString;
  /** Instructions that a coroutine may run between two waits. */
  instructions: number;
  /** How long a handler may take all in all. */
  handlerTimeoutMs: number;
}

export type Request =
  | { type: "start"; settings: HostSettings }
  | { type: "run"; number: number; snapshot: CgroupSnapshot }
  | { type: "reload" }
  | { type: "ping" }
  | { type: "stop" };

interface Failure {
  message: ByteString;
  traceback?: ByteString;
}

export type Reply =
  | { type: "ready"; hasHandler: boolean; warning?: ByteString }
  | ({ type: "unusable" } & Failure)
  | { type: "done"; number: number }
  | ({ type: "failed"; number: number } & Failure)
  /** A failure that belongs to no handler. */
  | ({ type: "error"; source: ByteString } & Failure)
  | { type: "notice"; text: ByteString }
  | { type: "pong" };

/** Messages of scripts are cut to this: a log line is for people. */
export const MAX_TEXT = 16384;
/** No message is longer: at most two texts and a path of 4096 bytes, and JSON spends six on a byte. */
const MAX_LINE = 12 * MAX_TEXT + 65536;

export class ProtocolError extends Error {
  override name = "ProtocolError";
}

export function encodeMessage(message: Request | Reply): string {
  return `${JSON.stringify(message)}\n`;
}

/** A text from a script for a message. */
export function cutText(text: ByteString): ByteString {
  const characters = latin1Of(text);
  return characters.length > MAX_TEXT ? bytesOfLatin1(`${characters.slice(0, MAX_TEXT)}...`) : text;
}

/** Takes a stream of chunks apart into messages. */
export class MessageReader<T extends Request | Reply> {
  #rest = "";

  /** @throws ProtocolError */
  push(chunk: string): T[] {
    const lines = (this.#rest + chunk).split("\n");
    this.#rest = lines.pop() ?? "";
    if (this.#rest.length > MAX_LINE) throw new ProtocolError("a message without end");
    return lines.map((line) => this.#parse(line));
  }

  #parse(line: string): T {
    try {
      // Both ends are this file: what it encoded has this type.
      return JSON.parse(line) as T;
    } catch (error) {
      throw new ProtocolError(`not a message: ${line.slice(0, 100)}`, { cause: error });
    }
  }
}
