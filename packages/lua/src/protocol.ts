/**
 * What the daemon and the script host tell each other over a socket pair. Bytes pass as
 * they are: JSON has a character for each. Pure.
 *
 *     u32 length          little-endian, of what follows
 *     a JSON object       UTF-8
 */
import type { EncodedRecord, PackedRecord } from "@cm4all/cgroup";
import { type ByteString, bytesOfLatin1, latin1Of } from "@cm4all/linux";
import type { Handlers, RunKind } from "./run-kinds.ts";
import type { Effect, FailureCause } from "./runtime/effects.ts";

/** What the host needs to begin. */
export interface HostSettings {
  script: string;
  /** Instructions that a coroutine may run between two waits. */
  instructions: number;
  /** How long a handler may take all in all. */
  handlerTimeoutMs: number;
}

/** What the host is asked, but for runs, whose records are JSON already: see `encodeRun`. */
export type PlainRequest =
  | { type: "start"; settings: HostSettings }
  /** The answer to `begin`. */
  | { type: "begun"; number: number }
  | { type: "refused"; number: number; message: ByteString }
  | { type: "reload" }
  | { type: "ping"; number: number }
  | { type: "stop" };

/** What the host is asked. */
export type Request =
  | PlainRequest
  | { type: "run"; number: number; kind: RunKind; records: readonly PackedRecord[] };

interface Failure {
  message: ByteString;
  traceback?: ByteString;
}

export type Reply =
  /** The first one, of this process; `start` is the answer. */
  | { type: "hello"; pid: number }
  | { type: "ready"; handlers: Handlers; warning?: ByteString }
  | ({ type: "unusable" } & Failure)
  /** A run is about to take effect outside, and waits for `begun`. */
  | { type: "begin"; number: number }
  | { type: "done"; number: number }
  | ({ type: "failed"; number: number; effect: Effect; cause: FailureCause } & Failure)
  /** It was ended because the host ends. */
  | { type: "dropped"; number: number; effect: Effect }
  /** A failure that belongs to no handler. */
  | ({ type: "error"; source: ByteString } & Failure)
  | { type: "notice"; text: ByteString }
  /** What the script prints cannot be written; comes once. @param text the system's reason */
  | { type: "outputLost"; text: ByteString }
  /** With the number of the ping. */
  | { type: "pong"; number: number };

/** Messages of scripts are cut to this: a log line is for people. */
export const MAX_TEXT = 16384;
/** Of a request, without its length. */
export const MAX_REQUEST_BYTES = 64 * 1024 * 1024;
/** Of a reply, without its length: three texts, with six bytes for a control character. */
export const MAX_REPLY_BYTES = 512 * 1024;
export const LENGTH_BYTES = 4;

/** A message, or something in its place, breaks the rules of the protocol. */
export class ProtocolError extends Error {
  override name = "ProtocolError";
}

/** @throws ProtocolError if it is longer than a message may be */
export function encodeMessage(message: PlainRequest | Reply): Buffer {
  return encodeJson(JSON.stringify(message));
}

/** Asks for a run. @throws ProtocolError if it is longer than a message may be */
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
  if (length > MAX_REQUEST_BYTES) throw new ProtocolError(`a message of ${length} bytes`);
  const bytes = Buffer.allocUnsafe(LENGTH_BYTES + length);
  bytes.writeUInt32LE(length);
  bytes.write(json, LENGTH_BYTES);
  return bytes;
}

/** A text from a script for a message. */
export function cutText(text: ByteString): ByteString {
  const characters = latin1Of(text);
  return characters.length > MAX_TEXT ? bytesOfLatin1(`${characters.slice(0, MAX_TEXT)}...`) : text;
}
