/**
 * The messages that the daemon and the script host exchange over a Unix socket. Strings of bytes
 * pass unchanged: in JSON, each byte is one character. Pure.
 *
 *     u32 length          of the object, in bytes, little-endian
 *     a JSON object       UTF-8
 */
import type { EncodedRecord, PackedRecord } from "@cm4all/cgroup";
import { type ByteString, bytesOfLatin1, latin1Of } from "@cm4all/linux";
import type { Handlers, RunKind } from "./run-kinds.ts";
import type { Effect, FailureCause } from "./runtime/effects.ts";

/** The settings that the script host needs to load and run the script. */
export interface HostSettings {
  script: string;
  /** Instructions that a coroutine may run between two waits. */
  instructions: number;
  /** The time that a handler may take altogether. */
  handlerTimeoutMs: number;
}

/** Requests to the script host except runs, whose records are already JSON: see `encodeRun`. */
export type PlainRequest =
  | { type: "start"; settings: HostSettings }
  /** `begun` and `refused` are the answers to `begin`. */
  | { type: "begun"; number: number }
  | { type: "refused"; number: number; message: ByteString }
  | { type: "reload" }
  | { type: "ping"; number: number }
  | { type: "stop" };

/** Requests to the script host. */
export type Request =
  | PlainRequest
  | { type: "run"; number: number; kind: RunKind; records: readonly PackedRecord[] };

interface Failure {
  message: ByteString;
  traceback?: ByteString;
}

export type Reply =
  /** The first reply, with the pid of the script host; `start` is the answer. */
  | { type: "hello"; pid: number }
  | { type: "ready"; handlers: Handlers; warning?: ByteString }
  | ({ type: "unusable" } & Failure)
  /** A run is about to have its first effect, and waits for `begun` or `refused`. */
  | { type: "begin"; number: number }
  | { type: "done"; number: number }
  | ({ type: "failed"; number: number; effect: Effect; cause: FailureCause } & Failure)
  /** The run was ended because the script host is ending. */
  | { type: "dropped"; number: number; effect: Effect }
  /** A failure that belongs to no handler. */
  | ({ type: "error"; source: ByteString } & Failure)
  | { type: "notice"; text: ByteString }
  /** The output of the script cannot be written; sent once. @param text the error of the system */
  | { type: "outputLost"; text: ByteString }
  /** The answer to a ping, with its number. */
  | { type: "pong"; number: number };

/** The length, in bytes, to which strings from scripts are cut, because they go to the log. */
export const MAX_TEXT = 16384;
/** The size of the largest request, without its length prefix. */
export const MAX_REQUEST_BYTES = 64 * 1024 * 1024;
/**
 * The size of the largest reply, without its length prefix: room for three strings of `MAX_TEXT`
 * control characters, each of which takes six bytes.
 */
export const MAX_REPLY_BYTES = 512 * 1024;
export const LENGTH_BYTES = 4;

/** Thrown if a message breaks the rules of the protocol. */
export class ProtocolError extends Error {
  override name = "ProtocolError";
}

/** Encodes a message. @throws ProtocolError if it is too long */
export function encodeMessage(message: PlainRequest | Reply): Buffer {
  return encodeJson(JSON.stringify(message));
}

/** Encodes the request for a run. @throws ProtocolError if it is too long */
export function encodeRun(
  number: number,
  kind: RunKind,
  records: readonly EncodedRecord[],
): Buffer {
  const list = records.map(({ json }) => json).join(",");
  return encodeJson(`{"type":"run","number":${number},"kind":"${kind}","records":[${list}]}`);
}

function encodeJson(json: string): Buffer {
  const length = Buffer.byteLength(json);
  if (length > MAX_REQUEST_BYTES)
    throw new ProtocolError(`a message of ${length} bytes is too long`);
  const bytes = Buffer.allocUnsafe(LENGTH_BYTES + length);
  bytes.writeUInt32LE(length);
  bytes.write(json, LENGTH_BYTES);
  return bytes;
}

/**
 * Returns a string from a script. A string longer than `MAX_TEXT` bytes is cut, and three dots are
 * appended.
 */
export function cutText(text: ByteString): ByteString {
  const characters = latin1Of(text);
  return characters.length > MAX_TEXT ? bytesOfLatin1(`${characters.slice(0, MAX_TEXT)}...`) : text;
}
