/** Fuzzes the messages from a script host to the daemon. */
import { bytesOfLatin1 } from "@cm4all/linux";
import type { Subject } from "@cm4all/testing/fuzz";
import { MessageReader } from "../src/message-reader.ts";
import { parseReply } from "../src/parse-reply.ts";
import { encodeMessage, MAX_REPLY_BYTES, ProtocolError, type Reply } from "../src/protocol.ts";

/** Returns the messages that were read, and the error at which reading ended, if there was one. */
function readAll(input: Buffer, size: number): string[] {
  const reader = new MessageReader(MAX_REPLY_BYTES);
  const read: string[] = [];
  try {
    for (let i = 0; i < input.length; i += size)
      for (const value of reader.push(Buffer.from(input.subarray(i, i + size)))) {
        const reply = parseReply(value);
        const text = JSON.stringify(reply);
        if (encodeMessage(reply).length > 4 + MAX_REPLY_BYTES) throw new Error("too long");
        read.push(text);
      }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    if (error.message.length > 1000) throw new Error("an error message that is too long");
    read.push(error.message);
  }
  return read;
}

/**
 * Makes a message of each line, that is, puts the line's length before it: random bytes would
 * hardly ever be whole messages.
 */
function framed(input: Buffer): Buffer {
  const parts = input.toString("latin1").split("\n");
  return Buffer.concat(
    parts.map((part) => {
      const json = Buffer.from(part, "latin1");
      const length = Buffer.alloc(4);
      length.writeUInt32LE(json.length);
      return Buffer.concat([length, json]);
    }),
  );
}

const TEXT = bytesOfLatin1("m\u00ff");

/** A message of each type. */
const REPLIES: { readonly [Type in Reply["type"]]: Omit<Extract<Reply, { type: Type }>, "type"> } =
  {
    hello: { pid: 2 },
    ready: {
      handlers: { released: "one", running: "none", bearsRepetition: false },
      warning: TEXT,
    },
    unusable: { message: TEXT },
    begin: { number: 1 },
    done: { number: 1 },
    failed: { number: 1, effect: "none", cause: "script", message: TEXT, traceback: TEXT },
    dropped: { number: 1, effect: "unanswered" },
    error: { source: TEXT, message: TEXT },
    notice: { text: TEXT },
    outputLost: { text: TEXT },
    pong: { number: 1 },
  };

const replies = Object.entries(REPLIES);
const lines = replies.map(([type, fields]) => JSON.stringify({ type, ...fields }));

export const subject: Subject = {
  name: "host",
  tokens: [
    ...replies.flatMap(([type, fields]) => [
      `"${type}"`,
      ...Object.entries(fields).map((field) =>
        JSON.stringify(Object.fromEntries([field])).slice(1, -1),
      ),
    ]),
    ...['"type":', "{", "}", ",", "\n", "\\u0100", "[["],
  ],
  samples: [lines.join("\n"), ...lines.map((line) => framed(Buffer.from(line)))],
  read: (input) => {
    for (const bytes of [input, framed(input)]) {
      const whole = readAll(bytes, Math.max(1, bytes.length));
      for (const size of [1, 3, 4096])
        if (JSON.stringify(readAll(bytes, size)) !== JSON.stringify(whole))
          throw new Error(`different messages in chunks of ${size}`);
    }
  },
};
